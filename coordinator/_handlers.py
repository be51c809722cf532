"""What may be a handler, checked when it is given rather than when the first task fails on it."""

from __future__ import annotations

import inspect

from coordinator.errors import InvalidValue


def check_async(handler: object) -> None:
    """Refuse what :class:`coordinator.Agent` cannot run.

    A plain function would run within the event loop and hold up the agent's heartbeats, until the coordinator
    took it for lost.
    """
    _check_takes_a_directive(handler)
    if not _is_async(handler):
        raise InvalidValue(
            "handler",
            handler,
            "write it as `async def`, or take coordinator.sync.Agent, which runs plain functions in threads",
        )


def check_plain(handler: object) -> None:
    """Refuse what :class:`coordinator.sync.Agent` cannot run."""
    _check_takes_a_directive(handler)
    if _is_async(handler):
        raise InvalidValue(
            "handler",
            handler,
            "write it as a plain `def`, or take coordinator.Agent, which runs async functions",
        )


def check_is_the_only_one(handler: object, former: object | None) -> None:
    if former is not None:
        raise InvalidValue(
            "handler",
            handler,
            f"the agent has one already, {former!r}; let it tell tasks apart, or run another agent",
        )


def _check_takes_a_directive(handler: object) -> None:
    if not callable(handler):
        raise InvalidValue("handler", handler, "a function of one directive; decorate it with @agent.task")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # some built-in callables have none
        return
    try:
        signature.bind("directive")
    except TypeError:
        raise InvalidValue("handler", handler, f"a function of one directive, not {signature}") from None


def _is_async(handler: object) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)
