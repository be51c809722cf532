import asyncio

from coordinator import Agent, Directive

agent = Agent("summarizer-1", capabilities=["summarize"], slots=4, state_dir=".coordinator/agents")


@agent.task
async def summarize(directive: Directive) -> object:
    text = str(directive.payload)
    await directive.progress(0.5)
    return {"summary": text[:40], "attempt": directive.attempt}


asyncio.run(agent.run())
