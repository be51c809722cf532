"""Objects of the wrong kind are refused by name, where they are given."""

from __future__ import annotations

from typing import Any

import pytest

import coordinator
from coordinator import InvalidValue, Task, sync


@pytest.mark.parametrize("connection", [sync.Connection("h:9092"), "h:9092"])
def test_what_is_no_connection_of_the_async_classes_is_refused(connection: Any) -> None:
    for refusing in (
        lambda: coordinator.Client(connection),
        lambda: coordinator.Agent("a1", connection=connection),
    ):
        with pytest.raises(InvalidValue, match="one of coordinator, such as") as refused:
            refusing()
        assert refused.value.field == "connection"


@pytest.mark.parametrize("connection", [coordinator.Connection("h:9092"), "h:9092"])
def test_what_is_no_connection_of_the_synchronous_classes_is_refused(connection: Any) -> None:
    for refusing in (lambda: sync.Client(connection), lambda: sync.Agent("a1", connection=connection)):
        with pytest.raises(InvalidValue, match=r"one of coordinator\.sync, such as") as refused:
            refusing()
        assert refused.value.field == "connection"


@pytest.mark.parametrize("task", ["text", None, {"payload": 1}])
async def test_what_is_no_task_is_refused_and_the_right_form_named(task: Any) -> None:
    client = coordinator.Client()
    with pytest.raises(InvalidValue, match=r'a Task, such as Task\(payload="\.\.\."\)') as refused:
        await client.submit(task)
    assert refused.value.field == "task"
    with pytest.raises(InvalidValue) as refused:
        await client.submit_many([Task(), task])
    assert refused.value.field == "tasks[1]"
