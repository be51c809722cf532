from coordinator.sync import Client, Task

with Client() as client:
    handle = client.submit(Task(capabilities=["summarize"], payload="It was a dark and stormy night."))
    print(handle.result(timeout=60))
