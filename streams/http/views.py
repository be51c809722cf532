"""Read access to the folded state, as JSON. Every answer says in ``at`` which offsets it was read at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from models.codec import InvalidRecord
from models.cut import Cut, Place
from models.fleet import views
from models.fleet.explain import explain, explain_agent, explain_coalition
from models.partition import partition_of
from streams.folds import fleet_fold
from streams.http.query import allow_only, first, fleet_of, state_of
from streams.planner.allocation import resources

if TYPE_CHECKING:
    from models.fleet import FleetFold
    from streams.engine import Engine, FoldTable, PartitionTask


class StateViews:
    """The routes under ``/v1``, over the partitions that this worker owns.

    Args:
        engine: Whose status is shown.
        fleet: The table of the fleet folds.
        fleet_partitions: Partitions of the fleet log, to tell whose a fleet is.
        dry_run: What the next plan of a fleet would be, perhaps under another policy; see
            ``streams.planner.dry_run``.
    """

    def __init__(
        self,
        engine: Engine,
        fleet: FoldTable,
        fleet_partitions: int,
        dry_run: Callable[[FleetFold, str, Mapping[str, object] | None], dict[str, object]],
    ) -> None:
        self.engine = engine
        self.fleet = fleet
        self.fleet_partitions = fleet_partitions
        self.dry_run = dry_run

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/fleets", self.fleets)
        router.add_get("/v1/summary", self.summary)
        router.add_get("/v1/agents", self.agents)
        router.add_get("/v1/agents/{id}", self.agent)
        router.add_get("/v1/agents/{id}/explanation", self.agent_explanation)
        router.add_get("/v1/coalitions", self.coalitions)
        router.add_get("/v1/coalitions/{id}", self.coalition)
        router.add_get("/v1/coalitions/{id}/explanation", self.coalition_explanation)
        router.add_get("/v1/plan", self.plan)
        router.add_post("/v1/plan", self.plan)
        router.add_get("/v1/resources", self.resources)
        router.add_get("/v1/tasks", self.tasks)
        router.add_get("/v1/tasks/{id}", self.task)
        router.add_get("/v1/tasks/{id}/explanation", self.explanation)

    def status(self) -> dict[str, object]:
        return self.engine.status()

    async def fleets(self, request: web.Request) -> web.Response:
        allow_only(request, ())
        names = sorted(fleet for task in self.fleet.tasks.values() for fleet in fleet_fold(task).fleets())
        return _json({"at": [_at(task) for _, task in sorted(self.fleet.tasks.items())], "fleets": names})

    async def summary(self, request: web.Request) -> web.Response:
        fleet, task = self._of(request)
        return _json({"at": _at(task), **views.summary(fleet_fold(task), fleet)})

    async def agents(self, request: web.Request) -> web.Response:
        def found(fold: FleetFold, fleet: str, state: str | None) -> Iterator[dict[str, object]]:
            every = views.agents(fold, fleet)
            return (one for one in every if state is None or state in views.agent_states(one))

        return self._listed(request, "agents", views.AGENT_STATES, found)

    async def agent(self, request: web.Request) -> web.Response:
        return self._about(request, "agent", views.agent)

    async def agent_explanation(self, request: web.Request) -> web.Response:
        return self._about(request, "agent", explain_agent)

    async def coalitions(self, request: web.Request) -> web.Response:
        return self._listed(
            request,
            "coalitions",
            views.COALITION_STATES,
            lambda fold, fleet, state: views.coalitions(fold, fleet, state=state),
        )

    async def coalition(self, request: web.Request) -> web.Response:
        return self._about(request, "coalition", views.coalition)

    async def coalition_explanation(self, request: web.Request) -> web.Response:
        return self._about(request, "coalition", explain_coalition)

    async def plan(self, request: web.Request) -> web.Response:
        """The next plan, without making it; a policy patch that is posted says under which other policy."""
        patch = await _patch_in(request) if request.method == "POST" else None
        fleet, task = self._of(request)  # after the wait, in which the partition may have gone
        try:
            planned = self.dry_run(fleet_fold(task), fleet, patch)
        except InvalidRecord as error:
            raise web.HTTPBadRequest(text=f"that is no policy: {error.detail}") from None
        return _json({"at": _at(task), **planned})

    async def resources(self, request: web.Request) -> web.Response:
        """What there is of slots and resources, who has it, and how it should be divided."""
        fleet, task = self._of(request)
        return _json({"at": _at(task), **resources(fleet_fold(task), fleet)})

    async def tasks(self, request: web.Request) -> web.Response:
        return self._listed(
            request,
            "tasks",
            views.TASK_STATES,
            lambda fold, fleet, state: views.tasks(fold, fleet, state=state),
        )

    async def task(self, request: web.Request) -> web.Response:
        return self._about(request, "task", views.task)

    async def explanation(self, request: web.Request) -> web.Response:
        return self._about(request, "task", explain)

    def _listed(
        self,
        request: web.Request,
        kind: str,
        states: Collection[str],
        find: Callable[[FleetFold, str, str | None], Iterator[dict[str, object]]],
    ) -> web.Response:
        """As many as are asked for of a kind, perhaps in one state only."""
        fleet, task = self._of(request, "state", "limit")
        state = state_of(request, states)
        return _json(
            {"at": _at(task), "fleet": fleet, kind: first(request, find(fleet_fold(task), fleet, state))}
        )

    def _about(
        self,
        request: web.Request,
        kind: str,
        read: Callable[[FleetFold, str, str], dict[str, object] | None],
    ) -> web.Response:
        fleet, task = self._of(request)
        wanted = request.match_info["id"]
        found = read(fleet_fold(task), fleet, wanted)
        if found is None:
            return problem(404, f"no such {kind}", f"the fleet {fleet!r} has no {kind} {wanted!r}")
        return _json({"at": _at(task), **found})

    def _of(self, request: web.Request, *parameters: str) -> tuple[str, PartitionTask]:
        """The fleet that is asked for, and the task that holds it here.

        Raises:
            web.HTTPBadRequest: if that is no fleet's name, or there are parameters besides it and these.
            web.HTTPServiceUnavailable: if another worker holds it, or this one still restores it.
        """
        allow_only(request, ("fleet", *parameters))
        fleet = fleet_of(request)
        partition = partition_of(fleet.encode(), self.fleet_partitions)
        task = self.fleet.tasks.get(partition)
        if task is None:
            raise web.HTTPServiceUnavailable(
                text=f"partition {partition} of the fleet log, which holds the fleet {fleet!r}, is not open "
                "in this worker: ask the worker that owns it, or wait if this one is starting"
            )
        return fleet, task


async def _patch_in(request: web.Request) -> dict[str, object]:
    try:
        patch = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise web.HTTPBadRequest(text=f"the body is no JSON: {error}") from None
    if not isinstance(patch, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object: a policy patch")
    return patch


def problem(status: int, title: str, detail: str) -> web.Response:
    """An error as RFC 9457 has it."""
    return web.Response(
        status=status,
        body=orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}),
        content_type="application/problem+json",
    )


def _at(task: PartitionTask) -> dict[str, object]:
    """Where the state stands; its cut can be given to ``--at``, of this cluster."""
    place = Place(task.topic, task.partition)
    cut = Cut.of(None, {place: task.position})
    return {"topic": place.topic, "partition": place.partition, "offset": task.position, "cut": str(cut)}


def _json(value: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
