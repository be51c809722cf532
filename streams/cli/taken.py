"""Whether the coordinator took a task, or knew its id with other content: a result alone does not tell.

An id is taken once. An equal submission is a duplicate, so its result is that of the first; another is rejected,
and the result that is found under the id belongs to somebody else's task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from streams.cli import console
from streams.errors import StreamsError

if TYPE_CHECKING:
    from coordinator import Task, TaskResult
    from streams.reader import Stored, TopicReader
    from streams.settings import Settings

GRACE = 1.0
"""Seconds from a decision in the fleet log to its alert; measured: 0.1."""

THROTTLE_MS = 5 * 60_000
"""An alert from before the submission may stand for it, too: the same one is raised at most once a minute, unless
the policy says otherwise. Generous, since this machine's clock and the broker's may differ."""

SAY_AFTER = 3.0
"""Seconds of waiting for the coordinator without a word about it."""


class IdInUse(StreamsError):
    """A task was rejected, since its id belongs to another one.

    Attributes:
        task_id: The id.
    """

    def __init__(self, task_id: str, fleet: str) -> None:
        super().__init__(
            f"the task id {task_id!r} exists in the fleet {fleet!r} with other content, so this task "
            "was not taken; submit it under another id"
        )
        self.task_id = task_id


class Decisions:
    """What the coordinator decides about submissions from now on.

    Args:
        reader: Used for nothing else.
        fleet: Whose tasks these are.
    """

    def __init__(self, reader: TopicReader, settings: Settings, fleet: str) -> None:
        self._reader = reader
        self._settings = settings
        self._fleet = fleet
        self._decided: dict[str, int] = {}
        """Offset in the fleet log of the first submission of each task since :meth:`begin`."""
        self._rejected: dict[str, set[int]] = {}
        """Offsets in the fleet log of submissions that alerts call rejected, by task."""
        self._covered = -1
        """Alerts about the fleet log below this offset have been read."""

    async def begin(self) -> None:
        """Call it before anything is submitted."""
        from streams.offsets import Span, Start

        lately = Span(Start("time", round(time.time() * 1000) - THROTTLE_MS))
        async for record in self._reader.records("alerts", lately):
            self._note(record)
        await self._reader.seek_to_ends(("fleet", "alerts"))

    async def require_taken(self, digest: bytes, result: TaskResult) -> None:
        """Wait until the coordinator has decided about the submission that the result may belong to.

        Args:
            digest: Of what was submitted: :func:`digest_of`.
            result: What was found under its id.

        Raises:
            IdInUse: if it was rejected.
        """
        task_id = result.task_id
        decided = await self._decision(task_id)
        caused = result.cause.get("offset")
        if isinstance(caused, int) and caused > decided:
            await self._cover(caused)
        else:  # it had ended before
            await self._cover(decided + 1, GRACE)
        rejected = self._rejected.get(task_id, ())
        if decided in rejected or (rejected and not await self._is_first(task_id, digest)):
            raise IdInUse(task_id, self._fleet)

    async def _decision(self, task_id: str) -> int:
        started = time.monotonic()
        told = False
        while task_id not in self._decided:
            await self._read()
            if not told and time.monotonic() - started > SAY_AFTER:
                told = True
                console.note(f"waiting for the coordinator to take up {task_id}; is a worker running?")
            if task_id not in self._decided:
                await asyncio.sleep(0.1)
        return self._decided[task_id]

    async def _cover(self, offset: int, grace: float = 0.0) -> None:
        if self._covered >= offset:
            return
        await asyncio.sleep(grace)
        await self._read()
        self._covered = offset

    async def _read(self) -> None:
        for record in await self._reader.until_now():
            self._note(record)

    def _note(self, record: Stored) -> None:
        from models.codec import object_in

        if record.key != self._fleet.encode() or record.value is None:
            return
        if record.topic == "fleet" and b'"task_submitted"' in record.value:
            value = object_in(record.value) or {}
            event = value.get("event")
            if isinstance(event, dict) and value.get("type") == "task_submitted":
                self._decided.setdefault(str(event.get("task_id")), record.offset)
        elif record.topic == "alerts" and b'"task_exists"' in record.value:
            value = object_in(record.value) or {}
            if (value.get("type"), value.get("reason")) == ("rejected", "task_exists"):
                self._rejected.setdefault(str(value.get("subject")), set()).add(value["cause"]["offset"])

    async def _is_first(self, task_id: str, digest: bytes) -> bool:
        """Whether the task that has the id is the same; exact and slow, for where the alerts leave it open."""
        from streams.cli.looking_back import folded

        past = await folded(self._settings, self._fleet)
        tables, key = past.fold.state.tables, f"{self._fleet}/{task_id}"
        known = tables.tasks.get(key) or tables.ended_tasks.get(key)
        return known is None or known.digest == digest


def digest_of(task: Task, fleet: str) -> bytes:
    """What tells tasks with the same id apart, as the coordinator does it."""
    from models.events import TaskSubmitted, validate_event
    from models.fleet import tasks

    event = validate_event({"type": "task_submitted", "fleet": fleet, **_given(task.fields())})
    assert isinstance(event, TaskSubmitted)
    return tasks.digest_of(event)


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
