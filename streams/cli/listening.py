"""Folding a fleet's log for somebody who listens: a storyteller, whoever seeks a cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from streams.cli import console
from streams.cli.progress import Progress

if TYPE_CHECKING:
    from models.fleet import FleetFold
    from models.fold import Record
    from streams.audit.moments import Moment
    from streams.settings import Settings


class Listener(Protocol):
    """Folds what it hears."""

    def hear(self, records: Sequence[Record]) -> None: ...


L = TypeVar("L", bound=Listener)


async def heard(
    settings: Settings, fleet: str, make: Callable[[FleetFold], L], moment: Moment | None = None
) -> tuple[dict[str, object], L]:
    """Let a new listener hear the fleet log up to a moment, by default now.

    Returns:
        Up to where, as answers say it, and the listener.
    """
    from streams.audit.moments import NOW
    from streams.audit.past import fleet_at

    listeners: list[L] = []

    def listening(fold: FleetFold) -> Callable[[Sequence[Record]], None]:
        listeners.append(make(fold))
        return listeners[0].hear

    bootstrap = settings.kafka_bootstrap_servers
    with (
        console.waiting_for_kafka(bootstrap) as answered,
        Progress("folding the fleet log", answered) as progress,
    ):
        past = await fleet_at(
            bootstrap, settings.topic_prefix, fleet, moment or NOW, progress.report, listening
        )
    return past.at, listeners[0]
