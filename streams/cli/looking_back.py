"""Folding a fleet's log for a command: to have its state at a moment, or for somebody who listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from streams.cli import console
from streams.cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from models.fleet import FleetFold
    from models.fold import Record
    from streams.audit.history import History
    from streams.audit.moments import Moment
    from streams.audit.past import Log, Past
    from streams.audit.snapshots import Snapshots
    from streams.settings import Settings

FOLDING = "folding the fleet log"


class Listener(Protocol):
    """Folds what it hears."""

    def hear(self, records: Sequence[Record]) -> object:
        """May have to be awaited."""


L = TypeVar("L", bound=Listener)


@asynccontextmanager
async def opened(
    settings: Settings, archive: Path | None, what: str
) -> AsyncIterator[tuple[History, Callable[[int, int], None]]]:
    """The topics, or an archive of them, and what to tell the progress of ``what``.

    Raises:
        BrokerUnreachable: if Kafka is asked and does not answer.
        ArchiveDamaged: if there is no archive, or it is not what its manifest says.
    """
    if archive is not None:
        from streams.audit.archive import Archive

        with Progress(what) as progress:
            yield Archive.open(archive), progress.report
        return
    from streams.audit.history import KafkaHistory

    bootstrap = settings.kafka_bootstrap_servers
    with console.waiting_for_kafka(bootstrap) as answered, Progress(what) as progress:
        async with KafkaHistory(bootstrap, settings.topic_prefix) as history:
            answered()
            yield history, progress.report


def snapshots_of(settings: Settings) -> Snapshots:
    """Those that the settings name; what is wrong with one is told on standard error."""
    from streams.audit.snapshots import Snapshots

    every = settings.snapshot_interval
    return Snapshots(settings.snapshots_dir if every else None, every, console.note)


async def folded(
    settings: Settings, fleet: str, moment: Moment | None = None, archive: Path | None = None
) -> Past:
    """The fleet at a moment, by default now."""
    from streams.audit.moments import NOW
    from streams.audit.past import Log, fleet_at

    async with opened(settings, archive, FOLDING) as (history, progress):
        log = await Log.of(history, fleet)
        return await fleet_at(log, moment or NOW, progress, snapshots_of(settings))


async def heard(
    settings: Settings,
    fleet: str,
    make: Callable[[FleetFold, int], L],
    moment: Moment | None = None,
    archive: Path | None = None,
    since: Moment | None = None,
    watched: bool = True,
) -> tuple[Past, L]:
    """Let a new listener hear the fleet log.

    Args:
        make: Makes one that folds with this fold and wants the records from this offset on.
        moment: Up to when; by default now.
        since: From when, by default the start of the log; what is before may be left out.
        watched: Whether progress is told.

    Returns:
        Where the log was folded to, and the listener.
    """
    from streams.audit.moments import NOW
    from streams.audit.past import Log

    async with opened(settings, archive, FOLDING) as (history, progress):
        log = await Log.of(history, fleet)
        first = 0 if since is None else await log.offset_of(since)
        told = progress if watched else _untold
        return await heard_from(log, first, make, moment or NOW, told, snapshots_of(settings))


async def heard_from(
    log: Log,
    first: int,
    make: Callable[[FleetFold, int], L],
    moment: Moment,
    progress: Callable[[int, int], None],
    snapshots: Snapshots,
) -> tuple[Past, L]:
    """Likewise, of a log that is open, from an offset on."""
    from streams.audit import past

    listeners: list[L] = []

    def listening(fold: FleetFold) -> Callable[[Sequence[Record]], object]:
        listeners.append(make(fold, first))
        return listeners[-1].hear

    found = await past.heard(log, moment, listening, progress, snapshots, first)
    return found, listeners[-1]


def _untold(done: int, total: int) -> None:
    """Of what shows itself how far it is."""
