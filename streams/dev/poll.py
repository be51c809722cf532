"""Asking the worker how things are, once in a while, for the live view."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.cli.http import NotFound, WorkerUnreachable, get_json
from streams.errors import StreamsError

INTERVAL = 0.5
TIMEOUT = 2.0


@dataclass(slots=True)
class WorkerView:
    """The last that the worker said of itself and of one fleet."""

    address: str | None = None
    ready: bool = False
    reason: str = "starting"
    """What it waits for, if it is not ready."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    agents: Sequence[Mapping[str, Any]] = ()
    oldest: Mapping[str, Any] | None = None
    """The explanation of the task that has waited longest, if any waits."""


async def poll(data_dir: Path, fleet: str, view: WorkerView) -> None:
    """Keep ``view`` up to date until cancelled; a worker that is away or restores is no error."""
    while True:
        await asyncio.to_thread(_refresh, data_dir, fleet, view)
        await asyncio.sleep(INTERVAL)


def _refresh(data_dir: Path, fleet: str, view: WorkerView) -> None:
    try:
        view.address = (data_dir / "http").read_text().strip()
    except OSError:
        view.address, view.ready, view.reason = None, False, "starting"
        return
    try:
        view.ready, view.reason = _readiness(view.address)
        if view.ready:
            view.summary = get_json(view.address, "/v1/summary", {"fleet": fleet}, TIMEOUT)
            view.agents = get_json(view.address, "/v1/agents", {"fleet": fleet}, TIMEOUT)["agents"]
            view.oldest = _oldest(view.address, fleet) if view.summary["tasks"]["pending"] else None
    except WorkerUnreachable:
        view.ready, view.reason = False, "away"
    except StreamsError as error:
        view.ready, view.reason = False, str(error)


def _oldest(address: str, fleet: str) -> dict[str, Any] | None:
    pending = get_json(address, "/v1/tasks", {"fleet": fleet, "state": "pending", "limit": 1}, TIMEOUT)[
        "tasks"
    ]
    if not pending:
        return None
    try:
        path = f"/v1/tasks/{pending[0]['task_id']}/explanation"
        explanation = get_json(address, path, {"fleet": fleet}, TIMEOUT)
    except NotFound:
        return None
    return explanation if explanation["state"] == "pending" else None


def _readiness(address: str) -> tuple[bool, str]:
    """``/health/ready`` answers 503 with a reason while the worker is not."""
    from http.client import HTTPConnection, HTTPException

    import orjson

    connection = HTTPConnection(address, timeout=TIMEOUT)
    try:
        connection.request("GET", "/health/ready")
        answer = orjson.loads(connection.getresponse().read())
    except (OSError, HTTPException, orjson.JSONDecodeError) as error:
        raise WorkerUnreachable(address, str(error)) from error
    finally:
        connection.close()
    return bool(answer.get("ready")), str(answer.get("reason") or "starting")
