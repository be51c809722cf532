"""The group's offset follows what is saved: tried until it succeeds, and not again after that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.engine.checkpoint import Checkpointer
from streams.engine.store import LocalStore
from streams.engine.task import PartitionTask
from tests.unit.streams.engine.folds import NumbersFold


def saved_task(directory: Path, position: int) -> PartitionTask:
    store = LocalStore(directory, "counts", 0)
    fold: Any = NumbersFold()
    task = PartitionTask(
        table="counts", topic="events", partition=0, fold=fold, store=store, position=position, epoch=3
    )
    task.saved_position = position
    return task


async def test_a_commit_that_failed_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    asked: list[Mapping[tuple[str, int], int]] = []

    async def commit(offsets: Mapping[tuple[str, int], int]) -> bool:
        asked.append(dict(offsets))
        return len(asked) >= 3

    nothing: Any = None
    checkpointer = Checkpointer(
        changelog="log", producer=nothing, read_range=nothing, commit_offsets=commit, on_fenced=nothing
    )
    task = saved_task(tmp_path, 7)
    for _ in range(5):
        await checkpointer.take([task])
    assert asked == [{("events", 0): 7}] * 3
    assert checkpointer.taken == 0, "nothing had changed that needed a checkpoint"


async def test_what_cannot_be_saved_is_not_committed(tmp_path: Path) -> None:
    asked = []

    async def commit(offsets: Mapping[tuple[str, int], int]) -> bool:
        asked.append(offsets)
        return True

    nothing: Any = None
    checkpointer = Checkpointer(
        changelog="log", producer=nothing, read_range=nothing, commit_offsets=commit, on_fenced=nothing
    )
    task = saved_task(tmp_path, 7)
    task.failure = RuntimeError("given up")
    await checkpointer.take([task])
    assert asked == []
