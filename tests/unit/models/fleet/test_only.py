"""Agents that take only some kinds of tasks: those that they are kept for, or those of some tenants."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    """A plain agent, one that is kept for work on its GPU, and one that is kept for a tenant."""
    log = FleetLog()
    log.agent("plain", capabilities=["cpu"], slots=8)
    log.agent("gpu", capabilities=["cpu", "gpu"], slots=8, only={"capabilities": ["gpu"]})
    log.agent("mine", capabilities=["cpu", "gpu"], slots=8, only={"tenants": ["x", "y"]})
    return log


def counts(log: FleetLog, **task: object) -> dict[str, int]:
    log.task("t1", **task)
    found: dict[str, int] = log.explain("t1")["counts"]
    return found


@pytest.mark.parametrize(
    ("task", "eligible"),
    [
        ({}, {"plain"}),
        ({"requires": {"capabilities": ["cpu"]}}, {"plain"}),
        ({"requires": {"capabilities": ["gpu"]}}, {"gpu"}),
        ({"requires": {"capabilities": ["cpu", "gpu"]}, "tenant": "x"}, {"gpu", "mine"}),
        ({"tenant": "y"}, {"plain", "mine"}),
        ({"tenant": "z"}, {"plain"}),
    ],
)
def test_it_gets_what_it_is_kept_for_and_nothing_else(
    log: FleetLog, task: dict[str, object], eligible: set[str]
) -> None:
    log.task("t1", **task)
    refused = 0
    for name in ("plain", "gpu", "mine"):
        said = log.plan(("t1", name, log.task_row().epoch + 1))
        assert bool(said.directives()) == (name in eligible), name
        if said.directives():
            log.answer(said.directive, "rejected")
        else:
            refused += 1
    assert refused == 3 - len(eligible)


def test_the_planner_and_the_explanation_agree(log: FleetLog) -> None:
    assert counts(log) == {"refuses": 2, "eligible": 1}
    for number in range(2, 12):
        log.task(f"t{number}")
    assert {directive["agent_id"] for directive in log.place().directives()} == {"plain"}
    log.task("more")
    assert log.explain("more")["counts"] == {"refuses": 2, "no_credit": 1}


def test_what_nobody_takes_is_impossible(log: FleetLog) -> None:
    log.fact("agent_deregistered", agent_id="plain")
    log.task("t1")
    assert log.explain("t1")["reason"] == "impossible"
    log.agent("gpu", capabilities=["cpu", "gpu"])
    assert log.explain("t1")["reason"] == "waiting_for_plan"


@pytest.mark.parametrize(
    "coalition", [{"cover": ["gpu"]}, {"roles": [{"role": "r", "capabilities": ["gpu"]}]}]
)
def test_for_a_coalition_it_takes_what_its_members_are_there_for(
    log: FleetLog, coalition: dict[str, object]
) -> None:
    log.task("t1", coalition=coalition)
    assert log.place().directive["agent_id"] == "gpu"


def test_a_registration_without_it_takes_everything_again(log: FleetLog) -> None:
    log.agent("mine", capabilities=["cpu"])
    assert counts(log) == {"refuses": 1, "eligible": 2}
