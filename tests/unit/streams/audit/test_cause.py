"""Why a directive was given: the record that put it out, the state before, the other places, the answers."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from models.fleet import FleetFold
from streams.audit.cause import Cause
from streams.cli.cause import drawn
from tests.unit.models.fleet.log import FleetLog


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("a1", capabilities=["saw"])
    log.agent("a2", capabilities=["saw"])
    log.agent("a3")
    log.task("t1", requires={"capabilities": ["saw"]})
    log.task("t2")
    return log


def cause_of(log: FleetLog, directive_id: str, batch: int = 3) -> Cause:
    cause = Cause(FleetFold(0, 1), "default", int(directive_id.split(".")[1]), directive_id)
    for start in range(0, len(log.log), batch):
        cause.hear(log.log[start : start + batch])
    return cause


def answer_of(cause: Cause, directive_id: str) -> dict[str, Any]:
    return {
        "directive_id": directive_id,
        "directive": cause.directive,
        "because": cause.because,
        "before": cause.before,
        "after": cause.after,
        "then": [entry.on_wire() for entry in cause.then],
    }


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_an_assignment_and_all_around_it(log: FleetLog, batch: int) -> None:
    given = log.plan(("t2", "a3", 1), ("t1", "a1", 1)).directives()[1]
    log.answer(given, "accepted")
    log.answer(given, "completed", result=42)
    cause = cause_of(log, given["directive_id"], batch)
    assert cause.directive == given
    because: Any = cause.because
    assert (because["offset"], because["type"], because["plan_id"]) == (5, "plan_proposed", "p1")
    before: Any = cause.before
    assert (before["task_id"], before["state"], before["reason"]) == ("t1", "pending", "waiting_for_plan")
    assert before["counts"] == {"capability": 1, "eligible": 2}
    after: Any = cause.after
    assert after["placement"]["agent_id"] == "a1"
    assert [other["agent_id"] for other in after["placement"]["alternatives"]] == ["a2"]
    assert [entry.says["outcome"] for entry in cause.then] == ["accepted", "completed"]
    assert [brought["type"] for brought in cause.then[1].brings] == ["task_completed"]
    out = StringIO()
    Console(file=out, width=160, no_color=True).print(drawn(answer_of(cause, given["directive_id"])))
    shown = out.getvalue()
    for words in (
        "told a1",
        "the plan p1",
        f"policy {given['provenance']['policy']}, state ",
        "2  could take it now",
        "a1 (here)",
        "outcome completed",
        "task_completed",
    ):
        assert words in shown


def test_a_withdrawal_comes_from_what_ended_the_task(log: FleetLog) -> None:
    log.run("t3", "a3")
    (withdrawn,) = log.fact("task_cancelled", task_id="t3").directives("withdraw_task")
    cause = cause_of(log, withdrawn["directive_id"])
    because: Any = cause.because
    assert because["type"] == "task_cancelled"
    assert because["source"]["partition"] == 0
    assert (cause.before, cause.then) == (None, [])
    out = StringIO()
    Console(file=out, width=160, no_color=True).print(drawn(answer_of(cause, withdrawn["directive_id"])))
    assert "task_cancelled, from offset" in out.getvalue()
    assert "has answered nothing" in out.getvalue()


def test_an_order_to_the_agent_itself(log: FleetLog) -> None:
    order = log.fact("agent_drained", agent_id="a1").directive
    log.answer(order, "completed")
    cause = cause_of(log, order["directive_id"])
    assert (cause.directive or {})["type"] == "drain"
    assert [entry.says["outcome"] for entry in cause.then] == ["completed"]


@pytest.mark.parametrize("directive_id", ["default.2.0", "default.5.7", "default.999.0"])
def test_there_is_none_where_none_was_given(log: FleetLog, directive_id: str) -> None:
    log.plan(("t1", "a1", 1))
    cause = cause_of(log, directive_id)
    assert (cause.directive, cause.because, cause.then) == (None, None, [])
