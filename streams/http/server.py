"""The HTTP server of a worker: it listens early, so that a worker which still restores can say so."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from mode import Service

from streams.errors import ConfigurationError
from streams.health import HealthCheck
from streams.http.views import StateViews, problem
from streams.monitoring import MonitoringSystem

log = logging.getLogger("coordinator.http")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADDRESS_FILE = "http"
"""In the data directory: ``host:port`` that the server listens on, for commands on the same machine."""


class HttpServer(Service):  # type: ignore[misc]
    """Serves ``/metrics``, ``/health`` and the state under ``/v1``.

    Args:
        host: Address to listen on.
        port: Port; 0 takes any free one. :attr:`address` tells which.
        data_dir: Gets the file that tells local commands the address.
        health: Answers ``/health``.
        monitoring: Answers ``/metrics``.
        views: Answer ``/v1``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        data_dir: Path,
        health: HealthCheck,
        monitoring: MonitoringSystem,
        views: StateViews,
    ) -> None:
        super().__init__()
        self.host = host
        self.port = port
        self.health = health
        self.monitoring = monitoring
        self.views = views
        self.address: str | None = None
        self._address_file = data_dir / ADDRESS_FILE
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        application = web.Application(middlewares=[_errors_as_problems])
        application.router.add_get("/", self._index)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/health", self._health)
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        application.router.add_get("/v1/status", self._status)
        self.views.add_routes(application.router)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(
                f"cannot listen on {self.host}:{self.port}: {error.strerror or error}; "
                "choose another port with --http-port, or 0 for any free one"
            ) from error
        host, port = self._runner.addresses[0][:2]
        self.address = f"{host}:{port}"
        try:
            self._address_file.parent.mkdir(parents=True, exist_ok=True)
            self._address_file.write_text(self.address + "\n")
        except OSError as error:  # a full disk: commands can be told the address
            log.warning(
                "http address not written", extra={"file": str(self._address_file), "reason": str(error)}
            )
        log.info("http listening", extra={"address": self.address})

    async def on_stop(self) -> None:
        with contextlib.suppress(OSError):  # a disk that can only be read
            self._address_file.unlink(missing_ok=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _index(self, request: web.Request) -> web.Response:
        return web.json_response({"paths": _paths(request)})

    async def _metrics(self, _request: web.Request) -> web.Response:
        await self.monitoring.collect_metrics()
        return web.Response(
            body=self.monitoring.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _health(self, _request: web.Request) -> web.Response:
        checks = await self.health.check_health()
        return web.json_response(checks, status=200 if self.health.healthy(checks) else 503)

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        ready, reason = self.health.ready()
        return web.json_response({"ready": ready, "reason": reason}, status=200 if ready else 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(self.views.status())


@web.middleware
async def _errors_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        paths = ", ".join(_paths(request))
        return problem(404, "Not Found", f"nothing is at {request.path}; there are {paths}")
    except web.HTTPException as error:
        return problem(error.status, error.reason, error.text or error.reason)


def _paths(request: web.Request) -> list[str]:
    return [resource.canonical for resource in request.app.router.resources() if resource.canonical != "/"]
