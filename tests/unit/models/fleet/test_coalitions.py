"""The life of a coalition: all of its members or none, mended or given up, and what that costs its task."""

from __future__ import annotations

from typing import Any

import pytest

from models.fleet.rows import CoalitionRow
from tests.unit.models.fleet.log import FleetLog, Said

CREW = {"roles": [{"role": "lead", "capabilities": ["plan"]}, {"role": "hand", "count": 2}]}


@pytest.fixture
def log() -> FleetLog:
    log = FleetLog()
    log.agent("boss", capabilities=["plan"])
    for name in ("h1", "h2", "h3"):
        log.agent(name)
    return log


def coalition(log: FleetLog) -> CoalitionRow:
    (row,) = log.fold.state.tables.coalitions.rows.values()
    return row


def formed(log: FleetLog, **task: object) -> list[dict[str, Any]]:
    """Joins of a coalition of boss, h1 and h2."""
    log.task(**{"coalition": CREW, **task})
    joins = propose(log, ("boss", "lead"), ("h1", "hand"), ("h2", "hand")).directives()
    assert [join["type"] for join in joins] == ["join_coalition"] * 3
    return joins


def propose(
    log: FleetLog, *members: tuple[str, str | None], kind: str = "form_coalition", epoch: int = 1
) -> Said:
    entry = {
        "type": kind,
        "task_id": "t1",
        "epoch": epoch,
        "members": [{"agent_id": agent, "role": role} for agent, role in members],
    }
    return log.propose(entry)


def repair(log: FleetLog, *members: tuple[str, str | None], epoch: int = 1) -> Said:
    return propose(log, *members, kind="repair_coalition", epoch=epoch)


def active(log: FleetLog, **task: object) -> dict[str, dict[str, Any]]:
    """Assignments of an active coalition, by agent."""
    for join in formed(log, **task):
        said = log.answer(join, "accepted")
    return {directive["agent_id"]: directive for directive in said.directives("assign_task")}


def test_all_are_asked_at_once_and_told_who_the_others_are(log: FleetLog) -> None:
    joins = formed(log, payload="secret")
    for join, (agent, role) in zip(joins, [("boss", "lead"), ("h1", "hand"), ("h2", "hand")], strict=True):
        assert (join["agent_id"], join["task_id"], join["epoch"]) == (agent, "t1", 1)
        assert join["coalition"] == {
            "id": coalition_id(log),
            "members": ["boss", "h1", "h2"],
            "role": role,
        }
        assert join["payload"] is None
        assert "expires_at" not in join
        assert log.held(agent) == 1
    assert log.task_row().state == "assigned"


def coalition_id(log: FleetLog) -> str:
    (name,) = log.fold.state.tables.coalitions.rows
    return name


def test_when_all_have_accepted_each_gets_its_part_on_the_credit_of_its_join(log: FleetLog) -> None:
    first, second, third = formed(log, payload="secret")
    assert not log.answer(first, "accepted")
    assert not log.answer(second, "accepted")
    parts = log.answer(third, "accepted").directives()
    assert [(p["type"], p["agent_id"], p["epoch"], p["attempt"]) for p in parts] == [
        ("assign_task", agent, 1, 1) for agent in ("boss", "h1", "h2")
    ]
    assert all(part["payload"] == "secret" and part["coalition"]["id"] == coalition_id(log) for part in parts)
    assert [part["coalition"]["role"] for part in parts] == ["lead", "hand", "hand"]
    assert [log.held(agent) for agent in ("boss", "h1", "h2")] == [1, 1, 1]
    assert log.task_row().state == "running"
    assert coalition(log).state == "active"


def test_the_task_completes_when_every_member_has(log: FleetLog) -> None:
    parts = active(log)
    assert not log.answer(parts["boss"], "completed", result={"plan": 1})
    assert log.held("boss") == 0
    assert not log.answer(parts["h1"], "completed")
    result = log.answer(parts["h2"], "completed", result=2).result
    assert (result["type"], result["agent_id"], result["epoch"]) == ("task_completed", None, 1)
    assert result["result"] == {"boss": {"plan": 1}, "h1": None, "h2": 2}
    assert coalition(log).state == "dissolved"


@pytest.mark.parametrize("outcome", ["rejected", "failed"])
def test_who_refuses_to_join_is_replaced_and_the_others_wait_for_it(log: FleetLog, outcome: str) -> None:
    first, second, third = formed(log)
    log.answer(first, "accepted")
    assert not log.answer(second, outcome, reason="busy")
    assert coalition(log).state == "degraded"
    assert (log.task_row().deliveries, log.task_row().attempts) == (1, 0)
    assert not log.answer(third, "accepted"), "one is missing"
    join = repair(log, ("h3", "hand")).directive
    assert (join["type"], join["agent_id"], join["epoch"]) == ("join_coalition", "h3", 1)
    assert join["coalition"] == {"id": coalition_id(log), "members": ["boss", "h2", "h3"], "role": "hand"}
    assert coalition(log).state == "repairing"
    assert len(log.answer(join, "accepted").directives("assign_task")) == 3


def test_who_does_not_answer_in_time_is_dismissed_and_keeps_its_credit_until_it_answers(
    log: FleetLog,
) -> None:
    first, second, third = formed(log, ack_timeout=2)
    log.answer(first, "accepted")
    log.answer(third, "accepted")
    leave = log.wait(2_000).directive
    assert (leave["type"], leave["agent_id"], leave["epoch"]) == ("leave_coalition", "h1", 1)
    assert leave["coalition"]["role"] == "hand"
    assert log.held("h1") == 1
    assert log.answer(second, "accepted").rejections == ["not_live"]
    assert not log.answer(leave, "completed")
    assert log.held("h1") == 0
    assert log.task_row().deliveries == 1


def test_the_loss_of_a_member_at_work_counts_and_its_place_is_filled(log: FleetLog) -> None:
    parts = active(log)
    log.answer(parts["h1"], "accepted")
    said = log.own("agent_lost", agent_id="h1")
    assert [alert["reason"] for alert in said.alerts("coalition_degraded")] == ["agent_lost"]
    assert (log.task_row().attempts, log.task_row().state) == (1, "running")
    log.answer(parts["boss"], "completed")
    join = repair(log, ("h3", "hand")).directive
    part = log.answer(join, "accepted").directive
    assert (part["type"], part["agent_id"]) == ("assign_task", "h3")
    assert coalition(log).state == "active"
    log.answer(parts["h2"], "completed")
    result = log.answer(part, "completed").result
    assert sorted(result["result"]) == ["boss", "h2", "h3"]


def test_the_loss_of_one_who_had_not_begun_costs_nothing(log: FleetLog) -> None:
    first, *_ = formed(log)
    log.answer(first, "accepted")
    log.own("agent_lost", agent_id="boss")
    assert (log.task_row().attempts, log.task_row().deliveries) == (0, 0)
    assert coalition(log).state == "degraded"


def test_a_loss_too_many_ends_the_task_and_dismisses_the_others(log: FleetLog) -> None:
    parts = active(log, max_attempts=1)
    log.answer(parts["h1"], "accepted")
    said = log.own("agent_lost", agent_id="h1")
    assert [leave["agent_id"] for leave in said.directives("leave_coalition")] == ["boss", "h2"]
    assert said.result["type"] == "task_failed"


def test_the_failure_of_one_is_the_failure_of_all_and_counts_once(log: FleetLog) -> None:
    parts = active(log)
    log.answer(parts["boss"], "completed")
    said = log.answer(parts["h1"], "failed", reason="broke")
    assert [d["agent_id"] for d in said.directives("leave_coalition")] == ["h2"]
    row = log.task_row()
    assert (row.state, row.attempts, row.last_reason) == ("pending", 1, "broke")
    assert row.retry_at > log.now
    assert log.answer(parts["h2"], "completed").rejections == ["not_live"]


def test_whoever_works_too_long_ends_the_attempt(log: FleetLog) -> None:
    parts = active(log, run_timeout=5)
    for part in parts.values():
        log.answer(part, "accepted")
    said = log.wait(6_000)
    assert sorted(d["agent_id"] for d in said.directives("leave_coalition")) == ["boss", "h1", "h2"]
    assert (log.task_row().state, log.task_row().attempts) == ("pending", 1)


def test_a_coalition_that_does_not_come_about_lets_everybody_go(log: FleetLog) -> None:
    first, second, _ = formed(log, ack_timeout=60)
    log.answer(first, "accepted")
    log.answer(second, "accepted")
    said = log.wait(30_000)
    assert [d["agent_id"] for d in said.directives("leave_coalition")] == ["boss", "h1", "h2"]
    assert [alert["reason"] for alert in said.alerts("coalition_incomplete")] == ["forming"]
    assert (log.task_row().state, log.task_row().attempts, log.task_row().epoch) == ("pending", 0, 1)
    for leave in said.directives("leave_coalition"):
        log.answer(leave, "completed")
    log.wait(2_000)
    again = propose(log, ("boss", "lead"), ("h2", "hand"), ("h3", "hand"), epoch=2).directives()
    assert [(join["agent_id"], join["epoch"]) for join in again] == [("boss", 2), ("h2", 2), ("h3", 2)]


def test_a_coalition_that_cannot_be_mended_in_time_lets_everybody_go(log: FleetLog) -> None:
    parts = active(log)
    for part in parts.values():
        log.answer(part, "accepted")
    log.own("agent_lost", agent_id="h1")
    said = log.wait(30_000)
    assert [d["agent_id"] for d in said.directives("leave_coalition")] == ["boss", "h2"]
    assert (log.task_row().state, log.task_row().attempts) == ("pending", 1)


def test_what_covers_without_the_one_who_left_needs_no_repair(log: FleetLog) -> None:
    log.agent("both", capabilities=["saw", "weld"])
    log.agent("saw", capabilities=["saw"])
    log.task(coalition={"cover": ["saw", "weld"]})
    first, second = propose(log, ("both", None), ("saw", None)).directives()
    log.answer(first, "accepted")
    part = log.answer(second, "rejected").directive
    assert (part["type"], part["agent_id"], part["coalition"]["role"]) == ("assign_task", "both", None)
    assert log.answer(part, "completed").result["result"] == {"both": None}


def test_a_cancelled_task_dismisses_its_coalition(log: FleetLog) -> None:
    active(log)
    said = log.fact("task_cancelled", task_id="t1")
    assert [d["agent_id"] for d in said.directives("leave_coalition")] == ["boss", "h1", "h2"]
    assert said.result["type"] == "task_cancelled"
    assert coalition(log).reason == "task_cancelled"


def test_an_unanswered_dismissal_is_repeated_without_credit(log: FleetLog) -> None:
    active(log, ack_timeout=2)
    log.fact("task_cancelled", task_id="t1")
    assert log.held("boss") == 1
    again = log.wait(2_000).directives("leave_coalition")
    assert [d["agent_id"] for d in again] == ["boss", "h1", "h2"]
    assert [d["coalition"]["role"] for d in again] == ["lead", "hand", "hand"]
    assert log.held("boss") == 0


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ([("boss", "lead"), ("h1", "hand")], "members"),
        ([("h1", "lead"), ("h2", "hand"), ("h3", "hand")], "capability"),
        ([("boss", "lead"), ("h1", "hand"), ("h1", "hand")], "member_already"),
        ([("boss", "lead"), ("h1", "hand"), ("h2", "cook")], "role"),
        ([("boss", "lead"), ("h1", "hand"), ("nobody", "hand")], "unknown_agent"),
        ([("boss", "lead"), ("h1", "hand"), ("away", "hand")], "suspected"),
    ],
)
def test_a_plan_that_does_not_hold_asks_nobody(
    log: FleetLog, members: list[tuple[str, str | None]], refusal: str
) -> None:
    log.agent("away")
    log.own("agent_suspected", agent_id="away")
    log.task(coalition=CREW)
    assert not propose(log, *members)
    assert log.fold.state.clock.refusals == {refusal: 1}
    assert log.task_row().state == "pending"


def test_repairs_are_refused_where_nothing_is_missing_or_by_members(log: FleetLog) -> None:
    log.task("other")
    assert not repair(log, ("h3", "hand"))
    _, second, _ = formed(log)
    assert not repair(log, ("h3", "hand"))
    log.answer(second, "rejected")
    assert not repair(log, ("h3", "hand"), epoch=2)
    log.agent("boss", capabilities=["plan"], slots=2)
    assert not repair(log, ("boss", "hand"))
    assert log.fold.state.clock.refusals == {
        "unknown_task": 1,
        "not_degraded": 1,
        "stale_epoch": 1,
        "member_already": 1,
    }


def test_a_task_for_a_coalition_goes_to_no_single_agent_and_others_to_no_coalition(log: FleetLog) -> None:
    log.task(coalition=CREW)
    assert not log.plan(("t1", "boss", 1))
    log.fact("task_cancelled", task_id="t1")
    log.task("t2")
    entry = {"type": "form_coalition", "task_id": "t2", "epoch": 1, "members": [{"agent_id": "h1"}]}
    log.propose(entry)
    assert log.fold.state.clock.refusals == {"coalition": 1, "no_coalition": 1}


def test_a_coalition_that_no_registered_agents_could_be_is_impossible(log: FleetLog) -> None:
    log.task(coalition={"roles": [{"role": "lead", "capabilities": ["plan"], "count": 2}]})
    assert log.explain()["reason"] == "impossible"
    assert [alert["subject"] for alert in log.wait(6_000).alerts("no_eligible_agent")] == ["t1"]
    log.agent("chief", capabilities=["plan"])
    assert log.explain()["reason"] == "waiting_for_plan"


def test_why_a_task_for_a_coalition_waits(log: FleetLog) -> None:
    log.task(coalition=CREW)
    explained = log.explain()
    assert (explained["reason"], explained["counts"]) == ("waiting_for_plan", {"eligible": 4})
    log.fact("agent_cordoned", agent_id="boss")
    explained = log.explain()
    assert (explained["reason"], explained["counts"]) == ("coalition", {"cordoned": 1, "eligible": 3})


def test_a_dissolved_coalition_is_forgotten_after_a_while(log: FleetLog) -> None:
    active(log)
    log.fact("task_cancelled", task_id="t1")
    log.tick(599_000)
    assert len(log.fold.state.tables.coalitions) == 1
    log.tick(2_000)
    assert not log.fold.state.tables.coalitions.rows
