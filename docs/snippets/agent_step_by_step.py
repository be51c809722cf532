import asyncio

from coordinator import Agent, DirectiveEnded


async def main() -> None:
    async with Agent("careful-1", capabilities=["summarize"]) as agent:
        async for directive in agent.directives():
            if not isinstance(directive.payload, str):
                await directive.reject("I read text only")
                continue
            try:
                await directive.accept()
                await directive.progress(0.5)
                await directive.complete({"length": len(directive.payload)})
            except DirectiveEnded as ended:
                print("too late:", ended.reason)


asyncio.run(main())
