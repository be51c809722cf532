"""Load that the ledger does not know: two windows running that report it take slots, two without return them."""

from __future__ import annotations

from typing import Any

import pytest

from models.fleet.explain import explain_agent
from models.fleet.views import agent, agent_states
from tests.unit.models.fleet.log import FleetLog, Said

SIZE = 10_000
"""Milliseconds of a window."""


@pytest.fixture
def log() -> FleetLog:
    """One agent of four slots, registered just before a window begins, and another one."""
    log = FleetLog()
    log.agent("a1", slots=4)
    log.agent("a2", slots=4)
    log.now += SIZE - log.now % SIZE
    return log


def window(log: FleetLog, load: float, agent_id: str = "a1", count: int = 10) -> Said:
    """A window passes, and closes with this load."""
    start = log.now - log.now % SIZE
    log.wait(start + SIZE - log.now + 4_000)
    aggregate = {"count": count, "sum": load * count, "mean": load, "min": load, "max": load, "last": load}
    agents = {agent_id: {"current_load": aggregate}}
    return log.own("window_closed", start=start / 1000, end=start / 1000 + 10, agents=agents)


def slots(log: FleetLog, agent_id: str = "a1") -> dict[str, Any]:
    explanation: Any = explain_agent(log.fold, "default", agent_id)
    found: dict[str, Any] = explanation["slots"]
    return found


def pending(log: FleetLog) -> list[str]:
    return [row.task_id for row in log.fold.state.tables.tasks.rows.values() if row.state == "pending"]


def test_load_of_others_in_two_windows_running_takes_their_slots(log: FleetLog) -> None:
    assert not window(log, 0.5).alerts()
    assert slots(log)["usable"] == 4
    said = window(log, 0.5)
    (alert,) = said.alerts()
    assert (alert["type"], alert["subject"], alert["reason"]) == ("drift", "a1", "background_load")
    assert (alert["reported"], alert["ledger"], alert["taken"], alert["usable"]) == (0.5, 0.0, 2, 2)
    assert slots(log) == {"total": 4, "usable": 2, "held": 0, "bounds": {"loaded": 2}}
    (directive,) = said.directives()
    assert (directive["type"], directive["agent_id"], directive["payload"]) == (
        "throttle",
        "a1",
        {"slots": 2},
    )


def test_what_was_given_here_explains_the_load(log: FleetLog) -> None:
    log.run("t1")
    log.run("t2")
    for _ in range(4):
        assert not window(log, 0.5).alerts()
    assert slots(log)["usable"] == 4


def test_only_what_goes_beyond_it_is_taken(log: FleetLog) -> None:
    log.run("t1")
    window(log, 0.75)
    (alert,) = window(log, 0.75).alerts()
    assert (alert["ledger"], alert["taken"], alert["usable"]) == (0.25, 2, 2)


def test_the_ledger_of_that_very_window_counts(log: FleetLog) -> None:
    """A task that fills the agent in one window and is gone in the next explains the first one's load."""
    directives = [log.run(f"t{number}") for number in range(4)]
    log.now += SIZE - log.now % SIZE
    for _ in range(2):
        start = log.now - log.now % SIZE
        log.wait(SIZE - 2)
        for directive in directives:
            log.answer(directive, "completed")
        directives = [log.run(f"{start}-{number}") for number in range(4)]
        log.wait(4_000)
        aggregate = {"count": 10, "sum": 10.0, "mean": 1.0, "min": 1.0, "max": 1.0, "last": 1.0}
        agents = {"a1": {"current_load": aggregate}}
        said = log.own("window_closed", start=start / 1000, end=start / 1000 + 10, agents=agents)
        assert not said.alerts()
    assert slots(log)["usable"] == 4


def test_one_busy_window_or_two_apart_change_nothing(log: FleetLog) -> None:
    for load in (1.0, 0.0, 1.0, 0.0, 1.0, 0.0):
        assert not window(log, load).alerts()


def test_a_few_samples_differ_by_chance(log: FleetLog) -> None:
    """Half of the time busy, by the ledger: three samples of one slot may well find it busy each time."""
    log.fact("status_update", agent_id="a2", status="idle", slots=1)
    for number in range(4):
        start = log.now
        directive = log.run(f"t{number}", "a2")
        log.wait(5_000 - 1)
        log.answer(directive, "completed")
        log.wait(9_000)
        aggregate = {"count": 3, "sum": 3.0, "mean": 1.0, "min": 1.0, "max": 1.0, "last": 1.0}
        window = {"start": start / 1000, "end": start / 1000 + 10}
        assert not log.own("window_closed", **window, agents={"a2": {"current_load": aggregate}}).alerts()
        log.now += SIZE - log.now % SIZE
    assert slots(log, "a2")["usable"] == 1


def test_too_few_samples_say_nothing(log: FleetLog) -> None:
    for _ in range(4):
        assert not window(log, 1.0, count=2).alerts()


def test_one_slot_is_left_whatever_the_gauge_says(log: FleetLog) -> None:
    for _ in range(3):
        window(log, 40.0)
    assert slots(log)["usable"] == 1
    log.task("t1")
    log.task("t2")
    assert log.place().directives("assign_task")
    log.fact("agent_cordoned", agent_id="a2")
    assert log.explain("t2")["counts"] in ({"loaded": 1, "cordoned": 1}, {"cordoned": 1, "eligible": 1})


def test_an_agent_of_one_slot_keeps_it_and_people_know(log: FleetLog) -> None:
    log.agent("a2", slots=1)
    log.now += SIZE - log.now % SIZE
    window(log, 1.0, "a2")
    said = window(log, 1.0, "a2")
    assert [alert["reason"] for alert in said.alerts()] == ["background_load"]
    assert not said.directives()
    assert slots(log, "a2") == {"total": 1, "usable": 1, "held": 0, "bounds": {}}


def test_two_windows_that_agree_give_the_slots_back(log: FleetLog) -> None:
    window(log, 0.5)
    window(log, 0.5)
    assert not window(log, 0.0).alerts()
    said = window(log, 0.0)
    (alert,) = said.alerts()
    assert (alert["reason"], alert["taken"], alert["usable"]) == ("agrees", 0, 4)
    assert said.directive["payload"] is None
    assert slots(log)["bounds"] == {}


def test_it_follows_the_load_but_not_its_noise(log: FleetLog) -> None:
    window(log, 0.5)
    window(log, 0.5)
    assert not window(log, 0.6).alerts()
    assert not window(log, 0.45).alerts()
    (alert,) = window(log, 1.0).alerts()
    assert alert["taken"] == 3


def test_an_agent_that_looks_idle_in_spite_of_accepted_work_is_told_of_once(log: FleetLog) -> None:
    log.run("t1", slots=2)
    window(log, 0.0)
    (alert,) = window(log, 0.0).alerts("drift")
    assert (alert["reason"], alert["tasks"], alert["ledger"]) == ("idle_with_work", 1, 0.5)
    assert slots(log)["usable"] == 4
    for _ in range(3):
        assert not window(log, 0.0).alerts("drift")


def test_the_planner_gives_a_loaded_agent_less(log: FleetLog) -> None:
    window(log, 0.75)
    window(log, 0.75)
    for number in range(8):
        log.task(f"t{number}")
    placed = [directive["agent_id"] for directive in log.place().directives()]
    assert (placed.count("a1"), placed.count("a2")) == (1, 4)
    shown: Any = agent(log.fold, "default", "a1")
    assert agent_states(shown) == ["loaded", "busy"]
    assert log.explain(pending(log)[0])["counts"] == {"no_credit": 1, "loaded": 1}


def test_who_starts_again_starts_with_all_its_slots_and_is_told_so(log: FleetLog) -> None:
    window(log, 0.5)
    window(log, 0.5)
    said = log.agent("a1", slots=4, incarnation=1)
    assert (said.directive["type"], said.directive["payload"]) == ("throttle", None)
    assert slots(log)["bounds"] == {}


def test_windows_of_another_size_are_not_compared_with_the_old_spans(log: FleetLog) -> None:
    window(log, 0.5)
    log.fact("policy_changed", version=1, policy={"windows": {"size": 5}})
    assert not window(log, 0.5).alerts()


def test_a_restored_fold_compares_alike(log: FleetLog) -> None:
    log.run("t1", slots=2)
    window(log, 1.0)
    log.fold.restored()
    log.fold.validate()
    (alert,) = window(log, 1.0).alerts()
    assert (alert["ledger"], alert["taken"]) == (0.5, 2)


def test_who_waits_for_the_others_of_a_coalition_has_lost_nothing(log: FleetLog) -> None:
    log.fact("policy_changed", version=1, policy={"planning": {"reservation": 600}})
    log.task("t1", coalition={"roles": [{"role": "r", "count": 2}]}, ack_timeout=600)
    join = next(one for one in log.place().directives() if one["agent_id"] == "a1")
    log.answer(join, "accepted")
    log.now += SIZE - log.now % SIZE
    for _ in range(3):
        assert not window(log, 0.0).alerts("drift")


def test_slots_return_after_two_windows_even_if_the_second_one_looks_idle(log: FleetLog) -> None:
    window(log, 0.75)
    window(log, 0.75)
    log.run("t1", slots=1)
    log.now += SIZE - log.now % SIZE
    assert not window(log, 0.0).alerts()
    assert [alert["reason"] for alert in window(log, 0.0).alerts()] == ["agrees"]


def test_an_agent_that_says_no_more_how_loaded_it_is_is_taken_for_free(log: FleetLog) -> None:
    window(log, 0.5)
    window(log, 0.5)
    start = log.now // 10_000 * 10
    cpu = {"count": 9, "sum": 9.0, "mean": 1.0, "min": 1.0, "max": 1.0, "last": 1.0}
    said = log.own("window_closed", start=start, end=start + 10, agents={"a1": {"cpu": cpu}})
    assert [alert["reason"] for alert in said.alerts()] == ["unsaid"]
    assert slots(log)["bounds"] == {}
