"""Where a command takes a fleet's state from: a worker's HTTP if one answers, else the topics, folded here.

Both give the same JSON: what stands under ``/v1`` in a worker. Which one it was is said on standard error.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from streams.cli import console
from streams.cli.http import NotFound, get_json, where

if TYPE_CHECKING:
    from pathlib import Path

    from models.fleet import FleetFold
    from streams.audit.moments import Moment
    from streams.settings import Settings


class FleetState(Protocol):
    """One fleet at one moment; each answer carries in ``at`` the offset of the fleet log it was read at."""

    def summary(self) -> dict[str, Any]: ...
    def agents(self) -> dict[str, Any]: ...
    def tasks(self, state: str | None, limit: int) -> dict[str, Any]: ...
    def coalitions(self, state: str | None, limit: int) -> dict[str, Any]: ...
    def one(self, kind: str, name: str) -> dict[str, Any]: ...
    def explanation(self, kind: str, name: str) -> dict[str, Any]: ...

    def resources(self) -> dict[str, Any]: ...

    def plan(self, patch: dict[str, Any] | None) -> dict[str, Any]:
        """The next plan; with a policy patch also what it would be under that."""


def open_state(
    bootstrap: str | None,
    prefix: str | None,
    fleet: str,
    http: str | None,
    at: str | None = None,
    archive: Path | None = None,
) -> FleetState:
    """The state of a fleet, from the nearest source; the arguments are the command's options.

    Whoever names a Kafka by option wants the state that is there, so that no worker of this directory, which
    may belong to another Kafka, is asked. A moment of the past is always folded from the topics.

    Raises:
        ConfigurationError: if an address or the fleet's name is none.
        WorkerUnreachable: if ``http`` was named and nothing answers there.
        BrokerUnreachable, TopicMissing: if the topics cannot be read either.
    """
    from streams.audit.moments import parse_moment
    from streams.cli.options import require_fleet, settings
    from streams.errors import ConfigurationError

    require_fleet(fleet)
    loaded = settings(bootstrap, prefix)
    if at is not None or archive is not None:
        if http is not None:
            given = (
                "--at is folded from the topics" if archive is None else "--archive names where it is read"
            )
            raise ConfigurationError(f"{given}; leave out --http")
        return TopicState.read(loaded, fleet, parse_moment(at or "now"), archive)
    address = http or (None if bootstrap or prefix else _local_worker(loaded))
    if address is not None:
        state = WorkerState(address, fleet)
        if http is not None:
            state.summary()  # whether it answers at all, before anything is said to come from it
        if http is not None or state.is_there():
            console.note(f"state of the worker at {address}")
            return state
    return TopicState.read(loaded, fleet)


def _local_worker(settings: Settings) -> str | None:
    from streams.dev.addresses import DEFAULT_DATA_DIR, running, worker_http

    own = worker_http(settings.data_dir)
    if own is not None:
        return own
    dev = running()
    if dev is None or dev != (settings.kafka_bootstrap_servers, settings.topic_prefix):
        return None
    return worker_http(DEFAULT_DATA_DIR / "worker")


class WorkerState:
    """The state as a worker answers it over HTTP."""

    def __init__(self, address: str, fleet: str) -> None:
        where(address)  # a wrong one is told before anything else
        self.address = address
        self.fleet = fleet

    def is_there(self) -> bool:
        """Whether this worker can answer for the fleet; another may hold it, or this one still restore it."""
        from streams.errors import StreamsError

        try:
            self.summary()
        except StreamsError:
            return False
        return True

    def summary(self) -> dict[str, Any]:
        return self._get("/v1/summary")

    def agents(self) -> dict[str, Any]:
        return self._get("/v1/agents", limit=100_000)

    def tasks(self, state: str | None, limit: int) -> dict[str, Any]:
        return self._get("/v1/tasks", state=state, limit=limit)

    def coalitions(self, state: str | None, limit: int) -> dict[str, Any]:
        return self._get("/v1/coalitions", state=state, limit=limit)

    def one(self, kind: str, name: str) -> dict[str, Any]:
        return self._get(f"/v1/{kind}s/{_quoted(name)}")

    def explanation(self, kind: str, name: str) -> dict[str, Any]:
        return self._get(f"/v1/{kind}s/{_quoted(name)}/explanation")

    def resources(self) -> dict[str, Any]:
        return self._get("/v1/resources")

    def plan(self, patch: dict[str, Any] | None) -> dict[str, Any]:
        return get_json(self.address, "/v1/plan", {"fleet": self.fleet}, body=patch)

    def _get(self, path: str, **query: object) -> dict[str, Any]:
        return get_json(self.address, path, {"fleet": self.fleet, **query})


class TopicState:
    """The state as it comes out of folding the fleet log from its start to its present end."""

    def __init__(self, fold: FleetFold, fleet: str, at: dict[str, object], budget: int) -> None:
        self.fold = fold
        self.at = at
        self._budget = budget
        self._fleet = fleet

    @classmethod
    def read(
        cls, settings: Settings, fleet: str, moment: Moment | None = None, archive: Path | None = None
    ) -> TopicState:
        import asyncio

        from streams.cli.looking_back import folded

        past = asyncio.run(folded(settings, fleet, moment, archive))
        at = past.at
        where = settings.kafka_bootstrap_servers if archive is None else archive
        console.note(f"state folded from {at['topic']} at {where}, {past.folded:,} records, cut {at['cut']}")
        return cls(past.fold, fleet, at, settings.planner_budget)

    def summary(self) -> dict[str, Any]:
        from models.fleet import views

        return self._answer(views.summary(self.fold, self._fleet))

    def agents(self) -> dict[str, Any]:
        from models.fleet import views

        return self._answer({"agents": list(views.agents(self.fold, self._fleet))})

    def tasks(self, state: str | None, limit: int) -> dict[str, Any]:
        from models.fleet import views

        found = views.tasks(self.fold, self._fleet, state=state)
        return self._answer({"tasks": list(islice(found, limit))})

    def coalitions(self, state: str | None, limit: int) -> dict[str, Any]:
        from models.fleet import views

        found = views.coalitions(self.fold, self._fleet, state=state)
        return self._answer({"coalitions": list(islice(found, limit))})

    def one(self, kind: str, name: str) -> dict[str, Any]:
        from models.fleet import views

        read = {"task": views.task, "agent": views.agent, "coalition": views.coalition}[kind]
        found = read(self.fold, self._fleet, name)
        return self._answer(None if found is None else {kind: found}, f"{kind} {name!r}")

    def explanation(self, kind: str, name: str) -> dict[str, Any]:
        from models.fleet.explain import explain, explain_agent, explain_coalition

        read = {"task": explain, "agent": explain_agent, "coalition": explain_coalition}[kind]
        return self._answer(read(self.fold, self._fleet, name), f"{kind} {name!r}")

    def resources(self) -> dict[str, Any]:
        from streams.planner.allocation import resources

        return self._answer(resources(self.fold, self._fleet))

    def plan(self, patch: dict[str, Any] | None) -> dict[str, Any]:
        from streams.planner import WaterFillPlanner
        from streams.planner.dry_run import dry_run

        return self._answer(dry_run(self.fold, self._fleet, WaterFillPlanner(), self._budget, patch))

    def _answer(self, found: dict[str, Any] | None, name: str = "") -> dict[str, Any]:
        if found is None:
            raise NotFound(f"the fleet {self._fleet!r} has no {name}")
        return {"at": self.at, "fleet": self._fleet, **found}


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
