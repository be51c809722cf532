"""How a task ended, as commands print it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from streams.cli.console import STYLES, compact, shortened

if TYPE_CHECKING:
    from rich.text import Text

    from coordinator import TaskResult
    from streams.settings import Settings


def as_json(result: TaskResult) -> dict[str, Any]:
    """A result for scripts, with the names of the wire."""
    return {
        "task_id": result.task_id,
        "fleet": result.fleet,
        "state": result.state,
        "result": result.result,
        "reason": result.reason,
        "attempt": result.attempt,
        "epoch": result.epoch,
        "agent_id": result.agent_id,
        "time": result.time,
        "cause": dict(result.cause),
        "provenance": dict(result.provenance),
    }


def as_line(result: TaskResult) -> Text:
    """A result for people."""
    from rich.text import Text

    line = Text.assemble((f"{result.state:10}", STYLES.get(result.state, "bold red")), f" {result.task_id}")
    if result.agent_id:
        line.append(f"  by {result.agent_id}")
    if result.attempt and result.attempt > 1:
        line.append(f"  attempt {result.attempt}")
    if result.reason:
        line.append(f"  {shortened(result.reason, 500)}", "yellow")
    if result.result is not None:
        line.append(f"  {shortened(compact(result.result), 2000)}", "dim")
    return line


async def ended_before(settings: Settings, fleet: str, task_ids: Collection[str]) -> dict[str, TaskResult]:
    """Those of the tasks whose results stand in the log already, by id."""
    import orjson

    from streams.reader import TopicReader

    wanted = {task_id.encode() for task_id in task_ids}
    found: dict[str, TaskResult] = {}
    async with TopicReader(settings.kafka_bootstrap_servers, settings.topic_prefix) as reader:
        async for record in reader.records("results"):
            if record.key in wanted and record.value is not None:
                result = _from_wire(orjson.loads(record.value))
                if result.fleet == fleet:
                    found.setdefault(result.task_id, result)
    return found


async def all_of(
    earlier: Iterable[TaskResult], coming: AsyncIterator[TaskResult]
) -> AsyncIterator[TaskResult]:
    """First the results that are there, then those to come."""
    for result in earlier:
        yield result
    async for result in coming:
        yield result


def _from_wire(value: Mapping[str, Any]) -> TaskResult:
    from coordinator import TaskResult

    return TaskResult(
        task_id=value["task_id"],
        state=value["type"].removeprefix("task_"),
        fleet=value["fleet"],
        result=value["result"],
        reason=value["reason"],
        attempt=value["attempt"],
        epoch=value["epoch"],
        agent_id=value["agent_id"],
        time=value["time"],
        cause=value["cause"],
        provenance=value.get("provenance", {}),
    )
