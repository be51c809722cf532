"""What a request may ask for: fleet, state, limit. What it cannot mean is refused with what it can."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import islice

from aiohttp import web

from models.events import DEFAULT_FLEET
from models.fields import FLEET_PATTERN, FLEET_RULE

DEFAULT_LIMIT = 1000
MAX_LIMIT = 100_000


def allow_only(request: web.Request, names: Collection[str]) -> None:
    """Refuse a parameter that would be ignored."""
    for name in request.query:
        if name not in names:
            known = f"there are {', '.join(names)}" if names else "there are none"
            raise web.HTTPBadRequest(text=f"{request.path} has no parameter {name!r}; {known}")


def fleet_of(request: web.Request) -> str:
    fleet = request.query.get("fleet", DEFAULT_FLEET)
    if not re.fullmatch(FLEET_PATTERN, fleet):
        raise web.HTTPBadRequest(text=f"{fleet!r} cannot be a fleet's name; give {FLEET_RULE}")
    return fleet


def state_of(request: web.Request, states: Collection[str]) -> str | None:
    state = request.query.get("state")
    if state is not None and state not in states:
        raise web.HTTPBadRequest(text=f"no state is called {state!r}; there are {', '.join(states)}")
    return state


def first(request: web.Request, items: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """As many as the limit allows."""
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise web.HTTPBadRequest(text=f"limit must be an integer between 1 and {MAX_LIMIT}, not {text!r}")
    return list(islice(items, int(text)))
