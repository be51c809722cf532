"""What can be no handler is refused when it is given, not when the first task fails on it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from coordinator import Agent, Directive, InvalidValue, sync


async def works(directive: object) -> None: ...
async def works_with_defaults(directive: object, retries: int = 3, *, loud: bool = False) -> None: ...
async def takes_nothing() -> None: ...
async def takes_two(directive: object, client: object) -> None: ...
async def needs_a_keyword(directive: object, *, client: object) -> None: ...
def plain(directive: object) -> None: ...
def plain_without_parameter() -> None: ...


class Worker:
    async def work(self, directive: object) -> None: ...

    async def __call__(self, directive: object) -> None: ...


class PlainWorker:
    def work(self, directive: object) -> None: ...

    def __call__(self, directive: object) -> None: ...


ASYNC: list[Callable[..., Any]] = [
    works,
    works_with_defaults,
    functools.partial(takes_two, client=None),
    Worker().work,
    Worker(),
]
PLAIN: list[Callable[..., Any]] = [plain, PlainWorker().work, PlainWorker(), functools.partial(plain), print]
UNFIT: list[Any] = [takes_nothing, takes_two, needs_a_keyword, plain_without_parameter, "summarize", 7]


@pytest.mark.parametrize("handler", ASYNC)
def test_async_functions_of_a_directive_are_for_the_agent_with_an_event_loop(handler: Any) -> None:
    assert Agent("a1").task(handler) is handler
    with pytest.raises(InvalidValue, match=r"plain `def`, or take coordinator\.Agent"):
        sync.Agent("a1").task(handler)


@pytest.mark.parametrize("handler", PLAIN)
def test_plain_functions_of_a_directive_are_for_the_agent_without(handler: Any) -> None:
    assert sync.Agent("a1").task(handler) is handler
    with pytest.raises(InvalidValue, match=r"`async def`, or take coordinator\.sync\.Agent"):
        Agent("a1").task(handler)


@pytest.mark.parametrize("handler", UNFIT)
@pytest.mark.parametrize("agent", [Agent, sync.Agent])
def test_what_takes_no_directive_or_more_than_one_is_refused(agent: type[Agent], handler: Any) -> None:
    with pytest.raises(InvalidValue, match="a function of one directive") as refused:
        agent("a1").task(handler)
    assert refused.value.field == "handler"


@pytest.mark.parametrize(("agent", "handler"), [(Agent, works), (sync.Agent, plain)])
def test_a_second_handler_is_refused_and_the_first_one_named(agent: type[Agent], handler: Any) -> None:
    one = agent("a1")
    one.task(handler)
    with pytest.raises(InvalidValue, match=f"has one already, <function {handler.__name__} "):
        one.task(handler)


def test_the_decorator_may_be_called() -> None:
    agent = Agent("a1")

    @agent.task()
    async def work(_: Directive) -> None: ...

    with pytest.raises(InvalidValue, match="work"):
        agent.task(works)


async def test_run_refuses_them_as_well_before_anything_starts() -> None:
    with pytest.raises(InvalidValue, match=r"coordinator\.sync\.Agent"):
        await Agent("a1").run(plain)  # type: ignore[arg-type]


def test_run_without_an_event_loop_refuses_them_as_well() -> None:
    with pytest.raises(InvalidValue, match=r"coordinator\.Agent"):
        sync.Agent("a1").run(works)
