"""The verdict on a recorded run, under the names that Jepsen gives to what can go wrong with a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from models.ingress import IngressFold
from streams.engine.changelog import Replay
from streams.engine.store import LocalStore
from streams.reader import Stored
from tests.chaos.gauges import Place
from tests.crash.history import History
from tests.crash.load import Load

NOT_FROM_EVENTS = {"plan_proposed"}
"""Types of fleet records that the planner appends, and no ingress fold."""
Violations = list[str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """All that a run left behind."""

    history: History
    load: Load
    submitted: int
    """Tasks that Kafka has acknowledged."""
    partitions: Mapping[str, int]
    """Of ``events`` and ``fleet``."""
    unread: Mapping[Place, int]
    """Records that nobody had folded at the end, where there are some."""
    data_dirs: list[Path]


def lost(run: Recorded) -> Violations:
    """Acknowledged, and gone: tasks without a result; outputs of the log that are not in their topic."""
    found = [f"{result.task_id} ended as {result.status}" for result in run.load.results if not result.ok]
    missing = run.submitted - len(run.history.results_of_tasks())
    if missing:
        found.append(f"{missing} tasks have no result")
    return found + _asserted(
        lambda: run.history.assert_outputs_are_those_of_a_cold_fold(
            run.partitions["fleet"], run.partitions["events"]
        )
    )


def duplicate(run: Recorded) -> Violations:
    """Done twice, or said in two ways: executions, directives, results."""
    history = run.history
    found = [f"{task} epoch {epoch}: {n} times" for (task, epoch), n in run.load.executions.items() if n != 1]
    for what, contents in (
        ("directive", history.contents_of_directives()),
        ("result of", history.results_of_tasks()),
    ):
        found += [
            f"{what} {key}: {len(every)} contents" for key, every in contents.items() if len(every) != 1
        ]
    return found


def unseen(run: Recorded) -> Violations:
    """In the log, and folded by nobody although all had time to catch up."""
    return [f"{topic}/{number}: {records} records" for (topic, number), records in run.unread.items()]


def skipped(run: Recorded) -> Violations:
    """Facts that a cold pass over the events puts out, and the fleet log has not; or the other way round."""
    history, found = run.history, []
    cold = {
        output.value
        for number in range(run.partitions["events"])
        for output in _ingress(run, number).fold(history.partition("events", number))
        if output.topic == "fleet"
    }
    actual = {record.value for record in history.topics["fleet"] if _type(record) not in NOT_FROM_EVENTS}
    found += [f"not in the fleet log: {value!r}" for value in cold - actual]
    found += [f"in the fleet log alone: {value!r}" for value in actual - cold]
    return found


def non_monotonic(run: Recorded) -> Violations:
    """Out of order: facts at their first appearance, and the positions of checkpoints that count."""
    found: Violations = []
    for number in range(run.partitions["fleet"]):
        last: dict[int, tuple[int, int]] = {}
        seen: set[tuple[int, int, int]] = set()
        for record in run.history.partition("fleet", number):
            source = orjson.loads(record.value or b"{}").get("source")
            if source is None:
                continue
            place = source["offset"], source["index"]
            if (source["partition"], *place) in seen:
                continue
            seen.add((source["partition"], *place))
            if place < last.get(source["partition"], (-1, -1)):
                found.append(f"fleet/{number} at {record.offset}: {source} after {last[source['partition']]}")
            last[source["partition"]] = place
    for table, source_topic in (("agents", "events"), ("fleet", "fleet")):
        for number in range(run.partitions[source_topic]):
            position = 0
            for replay in _checkpoints(run.history.partition(_changelog(run, table), number)):
                assert replay.mark is not None
                if replay.mark.position < position:
                    found.append(f"{table}/{number}: from {position} back to {replay.mark.position}")
                position = replay.mark.position
    return found


def unaccounted(run: Recorded) -> Violations:
    """Records whose outcomes do not sum to their number."""
    return _asserted(
        lambda: run.history.assert_every_record_is_accounted_for(
            run.partitions["events"], run.partitions["fleet"]
        )
    ) + [f"dead letter at {record.offset}" for record in run.history.topics["dead-letters"]]


def diverged(run: Recorded) -> Violations:
    """States that should be equal: of the changelog, of a cold pass over the log, of each local store."""
    found = _asserted(
        lambda: run.history.assert_tables_are_cold_folds(run.partitions["events"], run.partitions["fleet"])
    )
    for table, topic in (("agents", "events"), ("fleet", "fleet")):
        for number in range(run.partitions[topic]):
            states = {
                replay.after_mark: dict(replay.rows)
                for replay in _checkpoints(run.history.partition(_changelog(run, table), number), last=20)
            }
            for data_dir in run.data_dirs:
                store = LocalStore(data_dir / "folds" / table / str(number), table, number)
                snapshot = store.load()
                store.close()
                if snapshot is None or snapshot.meta.changelog_offset not in states:
                    continue  # of an owner long ago
                if snapshot.rows != states[snapshot.meta.changelog_offset]:
                    found.append(f"{store.directory} is not what the changelog says")
    return found


CHECKS: Mapping[str, Callable[[Recorded], Violations]] = {
    "lost": lost,
    "duplicate": duplicate,
    "unseen": unseen,
    "skipped": skipped,
    "non-monotonic": non_monotonic,
    "unaccounted": unaccounted,
    "diverged": diverged,
}


def _checkpoints(changelog: Iterable[Stored], last: int | None = None) -> Iterable[Replay]:
    """The replay at each checkpoint that counts, all or the last ones."""
    records = list(changelog)
    counted = Replay()
    ends = []
    for number, record in enumerate(records):
        mark = counted.mark
        counted.apply([record], own_fence=1 << 62)
        if counted.mark is not mark:
            ends.append(number)
            if last is None:
                yield counted
    if last is not None:
        replay, begin = Replay(), 0
        for number in ends:
            replay.apply(records[begin : number + 1], own_fence=1 << 62)
            begin = number + 1
            if number in ends[-last:]:
                yield replay


def _changelog(run: Recorded, table: str) -> str:
    return f"{run.history.application}-{table}-changelog"


def _ingress(run: Recorded, number: int) -> IngressFold:
    return IngressFold(number, run.partitions, topic=f"{run.history.prefix}events")


def _type(record: Stored) -> object:
    return orjson.loads(record.value or b"{}").get("type")


def _asserted(check: Callable[[], None]) -> Violations:
    try:
        check()
    except AssertionError as error:
        return [str(error).splitlines()[0]]
    return []
