import asyncio

from coordinator import Client, Task, TaskFailed


async def main() -> None:
    async with Client() as client:
        one = await client.submit(Task(capabilities=["summarize"], payload="It was a dark and stormy night."))
        try:
            print(await one.result(timeout=60))
        except TaskFailed as failure:
            print("sorry:", failure)

        batch = await client.submit_many(
            Task(capabilities=["summarize"], payload=f"Chapter {number}") for number in range(10)
        )
        done = 0
        async for result in batch.as_completed(timeout=60):
            done += 1
            print(done, "of", len(batch), result.task_id, result.state)


asyncio.run(main())
