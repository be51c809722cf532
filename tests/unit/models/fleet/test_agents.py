"""What agents and operators say about agents, and what becomes of the work they hold."""

from __future__ import annotations

import pytest

from tests.unit.models.fleet.log import FleetLog, restored_from, rows_of


@pytest.fixture
def log() -> FleetLog:
    return FleetLog()


def test_any_event_registers_an_unknown_agent_with_defaults(log: FleetLog) -> None:
    log.fact("status_update", agent_id="a1", status="active")
    assert (log.agent_row().slots, log.agent_row().capabilities) == (1, [])
    log.task()
    assert log.place().directive["agent_id"] == "a1"


def test_an_answer_of_an_unknown_agent_registers_it_and_is_judged_for_itself(log: FleetLog) -> None:
    said = log.fact("directive_response", agent_id="a1", directive_id="default.0.0", outcome="accepted")
    assert said.rejections == ["unknown_directive"]
    assert log.agent_row().liveness == "alive"


def test_a_policy_may_forbid_unknown_agents(log: FleetLog) -> None:
    log.fact("policy_changed", policy={"register_unknown_agents": False}, version=1)
    assert log.fact("status_update", agent_id="a1", status="active").rejections == ["unknown_agent"]
    log.agent()
    assert log.fact("status_update", agent_id="a1", status="busy").rejections == []


def test_the_same_id_in_another_fleet_is_another_agent(log: FleetLog) -> None:
    log.agent(slots=2)
    log.agent(fleet="other", slots=5)
    assert log.agent_row().slots == 2
    log.task(fleet="other", task_id="t1")
    assert not log.place()


@pytest.mark.parametrize(
    "kind", ["agent_cordoned", "agent_uncordoned", "agent_drained", "agent_deregistered"]
)
def test_words_about_an_unknown_agent_are_rejected(log: FleetLog, kind: str) -> None:
    assert log.fact(kind, agent_id="a9").rejections == ["unknown_agent"]


def test_after_deregistration_only_a_registration_revives(log: FleetLog) -> None:
    log.agent()
    log.fact("agent_deregistered", agent_id="a1")
    assert log.fact("status_update", agent_id="a1", status="active").rejections == ["deregistered"]
    assert log.agent_row().liveness == "deregistered"
    log.agent(slots=3)
    assert log.agent_row().liveness == "alive"
    assert log.agent_row().slots == 3


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("agent_deregistered", {}, "agent_deregistered"),
        ("status_update", {"status": "offline"}, "agent_offline"),
        ("status_update", {"status": "error"}, "agent_error"),
        ("agent_registered", {"incarnation": 1}, "agent_restarted"),
    ],
)
def test_a_lost_agents_accepted_task_returns_and_the_loss_counts(
    log: FleetLog, kind: str, fields: dict[str, object], reason: str
) -> None:
    directive = log.running()
    said = log.fact(kind, agent_id="a1", **fields)
    assert not said.directives(), "nobody is there to be told"
    task = log.task_row()
    assert (task.state, task.attempts, task.last_reason) == ("pending", 1, reason)
    assert log.held() == 0
    log.agent("a2")
    second = log.place().directive
    assert (second["epoch"], second["attempt"]) == (directive["epoch"] + 1, 2)


def test_a_loss_before_acceptance_costs_the_task_nothing(log: FleetLog) -> None:
    log.assigned()
    log.own("agent_lost", agent_id="a1", silence=20_000)
    task = log.task_row()
    assert (task.state, task.attempts, task.deliveries) == ("pending", 0, 0)


def test_a_lost_agent_ends_its_directives_with_an_alert(log: FleetLog) -> None:
    directive = log.running()
    said = log.own("agent_lost", agent_id="a1", silence=20_000)
    (alert,) = said.alerts("agent_lost")
    assert (alert["subject"], alert["tasks"], alert["silence"]) == ("a1", 1, 20)
    assert log.explain()["counts"] == {"lost": 1}
    assert log.answer(directive, "completed").rejections == ["not_live"]


def test_losses_use_up_attempts(log: FleetLog) -> None:
    log.running(max_attempts=1)
    result = log.own("agent_lost", agent_id="a1").result
    assert (result["type"], result["reason"]) == ("task_failed", "agent_lost")


def test_a_lost_agent_that_is_heard_of_again_gets_new_work(log: FleetLog) -> None:
    log.running()
    log.own("agent_lost", agent_id="a1")
    assert not log.place()
    log.own("agent_recovered", agent_id="a1")
    assert log.place().directive["epoch"] == 2


def test_every_event_of_an_agent_is_a_beat(log: FleetLog) -> None:
    log.agent()
    log.own("agent_lost", agent_id="a1")
    log.fact("resource_report", agent_id="a1", resources={"cpu": {"capacity": 2}})
    assert log.agent_row().liveness == "alive"


def test_a_suspected_agent_keeps_its_work_and_gets_no_more(log: FleetLog) -> None:
    log.running()
    log.agent(slots=2)
    log.own("agent_suspected", agent_id="a1")
    log.task("t2")
    assert log.task_row().state == "running"
    assert not log.place()
    assert log.explain("t2")["counts"] == {"suspected": 1}
    log.own("agent_recovered", agent_id="a1")
    assert log.place().directive["task_id"] == "t2"


@pytest.mark.parametrize("record", ["agent_suspected", "agent_lost", "agent_recovered"])
def test_liveness_of_an_unknown_or_deregistered_agent_changes_nothing(log: FleetLog, record: str) -> None:
    assert log.own(record, agent_id="a1").rejections == ["unknown_agent"]
    log.agent()
    log.fact("agent_deregistered", agent_id="a1")
    log.own(record, agent_id="a1")
    assert log.agent_row().liveness == "deregistered"


def test_a_registration_without_new_incarnation_only_updates_the_row(log: FleetLog) -> None:
    log.running()
    log.agent(slots=4, capabilities=["saw"])
    assert log.task_row().state == "running"
    assert (log.agent_row().slots, log.agent_row().capabilities) == (4, ["saw"])


def test_an_equal_or_lower_incarnation_is_no_restart(log: FleetLog) -> None:
    log.agent(incarnation=3)
    log.task()
    log.place()
    log.agent(incarnation=3)
    log.agent(incarnation=2)
    assert log.task_row().state == "assigned"
    log.agent(incarnation=4)
    assert log.task_row().state == "pending"


def test_the_first_registration_of_the_incarnation_that_introduced_an_agent_is_no_restart(
    log: FleetLog,
) -> None:
    log.fact("status_update", agent_id="a1", status="idle", incarnation=5)
    log.task()
    log.place()
    log.agent(incarnation=5)
    assert log.task_row().state == "assigned"
    log.agent(incarnation=6)
    assert log.task_row().state == "pending"


@pytest.mark.parametrize("status", ["active", "idle", "busy"])
def test_an_agent_that_is_well_gets_work(log: FleetLog, status: str) -> None:
    log.fact("status_update", agent_id="a1", status=status)
    log.task()
    assert log.place().directives()


@pytest.mark.parametrize("status", ["draining", "offline", "error"])
def test_an_agent_that_says_it_is_not_well_gets_none(log: FleetLog, status: str) -> None:
    log.fact("status_update", agent_id="a1", status=status)
    log.task()
    assert not log.place()
    assert log.explain()["counts"] == {status: 1}


def test_a_draining_agent_keeps_what_it_has(log: FleetLog) -> None:
    directive = log.running()
    log.fact("status_update", agent_id="a1", status="draining")
    assert log.answer(directive, "completed").results()


def test_a_status_update_may_change_slots_and_capabilities(log: FleetLog) -> None:
    log.agent()
    log.task(requires={"capabilities": ["saw"]}, slots=2)
    assert not log.place()
    log.fact("status_update", agent_id="a1", status="active", capabilities=["saw"], slots=2)
    assert log.place().directives()


def test_an_agent_without_slots_is_known_and_never_given_work(log: FleetLog) -> None:
    log.agent(slots=0)
    log.task()
    assert not log.place()
    assert log.explain()["counts"] == {"slots": 1}


def test_no_status_clears_an_operators_cordon(log: FleetLog) -> None:
    log.agent()
    assert not log.fact("agent_cordoned", agent_id="a1").directives()
    log.task()
    for record in ("status_update", "agent_registered"):
        log.fact(record, agent_id="a1", status="active", incarnation=7)
        assert not log.place()
    assert log.explain()["counts"] == {"cordoned": 1}
    assert not log.fact("agent_uncordoned", agent_id="a1").directives()
    assert log.place().directives()


def test_a_drained_agent_is_told_and_keeps_its_work(log: FleetLog) -> None:
    directive = log.running()
    deadline = log.now / 1000 + 60
    drain = log.fact("agent_drained", agent_id="a1", deadline=deadline).directive
    assert drain["type"] == "drain"
    assert drain["payload"] == {"deadline": deadline}
    assert "expires_at" not in drain
    assert "task_id" not in drain
    log.agent(slots=2)
    log.task("t2")
    assert not log.place()
    assert log.explain("t2")["counts"] == {"drained": 1}
    assert log.answer(directive, "completed").results()


def test_an_undrained_agent_is_told_to_resume_in_place_of_the_drain(log: FleetLog) -> None:
    log.agent()
    drain = log.fact("agent_drained", agent_id="a1").directive
    resume = log.fact("agent_uncordoned", agent_id="a1").directive
    assert resume["type"] == "resume"
    assert log.answer(drain, "completed").rejections == ["not_live"]
    log.answer(resume, "completed")
    assert not log.wait(40_000).directives()


def test_a_resource_report_changes_capacities_not_free_amounts(log: FleetLog) -> None:
    log.agent(resources={"cpu": 1})
    log.task(requires={"resources": {"cpu": 2}})
    assert log.explain()["counts"] == {"resource": 1}
    log.fact("resource_report", agent_id="a1", resources={"cpu": {"capacity": 2, "used": 2}})
    assert log.place().directives(), "what is used includes what the ledger holds, and is old news"


def test_a_mere_registration_does_not_end_an_agents_draining_but_a_restart_does(log: FleetLog) -> None:
    log.agent(incarnation=1)
    log.fact("status_update", agent_id="a1", status="draining")
    log.agent(slots=2)
    assert log.agent_row().status == "draining"
    log.agent(incarnation=2)
    assert log.agent_row().status == "active"


def test_an_agent_that_registers_after_being_offline_is_active(log: FleetLog) -> None:
    log.agent()
    log.fact("status_update", agent_id="a1", status="offline")
    log.agent()
    assert log.agent_row().status == "active"


def test_tasks_of_a_lost_agent_return_in_the_order_of_issue_also_after_a_restart(log: FleetLog) -> None:
    log.agent(slots=3)
    for task_id in ("t2", "t3", "t1"):
        log.task(task_id, max_attempts=1)
    for directive in log.place().directives():
        log.answer(directive, "accepted")
    log.fold = restored_from(rows_of(log.fold), 1)
    said = log.own("agent_lost", agent_id="a1")
    assert [result["task_id"] for result in said.results()] == ["t2", "t3", "t1"]
