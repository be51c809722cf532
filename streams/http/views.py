"""Read access to the folded state, as JSON. Every answer says in ``at`` which offsets it was read at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from models.fleet import views
from models.fleet.explain import explain
from models.partition import partition_of
from streams.folds import fleet_fold
from streams.http.query import allow_only, first, fleet_of, state_of

if TYPE_CHECKING:
    from models.fleet import FleetFold
    from streams.engine import Engine, FoldTable, PartitionTask


class StateViews:
    """The routes under ``/v1``, over the partitions that this worker owns.

    Args:
        engine: Whose status is shown.
        fleet: The table of the fleet folds.
        fleet_partitions: Partitions of the fleet log, to tell whose a fleet is.
    """

    def __init__(self, engine: Engine, fleet: FoldTable, fleet_partitions: int) -> None:
        self.engine = engine
        self.fleet = fleet
        self.fleet_partitions = fleet_partitions

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/fleets", self.fleets)
        router.add_get("/v1/summary", self.summary)
        router.add_get("/v1/agents", self.agents)
        router.add_get("/v1/agents/{id}", self.agent)
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
        fleet, task = self._of(request, "state", "limit")
        state = state_of(request, views.AGENT_STATES)
        found = views.agents(fleet_fold(task), fleet)
        agents = first(request, (one for one in found if state is None or state in views.agent_states(one)))
        return _json({"at": _at(task), "fleet": fleet, "agents": agents})

    async def agent(self, request: web.Request) -> web.Response:
        fleet, task = self._of(request)
        wanted = request.match_info["id"]
        agent = views.agent(fleet_fold(task), fleet, wanted)
        if agent is None:
            return problem(404, "no such agent", f"the fleet {fleet!r} has no agent {wanted!r}")
        return _json({"at": _at(task), **agent})

    async def tasks(self, request: web.Request) -> web.Response:
        fleet, task = self._of(request, "state", "limit")
        state = state_of(request, views.TASK_STATES)
        tasks = first(request, views.tasks(fleet_fold(task), fleet, state=state))
        return _json({"at": _at(task), "fleet": fleet, "tasks": tasks})

    async def task(self, request: web.Request) -> web.Response:
        return self._about_task(request, views.task)

    async def explanation(self, request: web.Request) -> web.Response:
        return self._about_task(request, explain)

    def _about_task(
        self,
        request: web.Request,
        read: Callable[[FleetFold, str, str], dict[str, object] | None],
    ) -> web.Response:
        fleet, task = self._of(request)
        wanted = request.match_info["id"]
        found = read(fleet_fold(task), fleet, wanted)
        if found is None:
            return problem(404, "no such task", f"the fleet {fleet!r} has no task {wanted!r}")
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


def problem(status: int, title: str, detail: str) -> web.Response:
    """An error as RFC 9457 has it."""
    return web.Response(
        status=status,
        body=orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}),
        content_type="application/problem+json",
    )


def _at(task: PartitionTask) -> dict[str, object]:
    return {"topic": task.topic, "partition": task.partition, "offset": task.position}


def _json(value: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
