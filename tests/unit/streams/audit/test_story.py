"""Stories: what belongs to one, in order, with what brought it about and what came of it."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from models.fleet import FleetFold
from streams.audit.story import Entry, Kind, Storyteller
from streams.cli.story import drawn
from tests.unit.models.fleet.log import FleetLog


def log() -> FleetLog:
    """Of two tasks and two agents; t1 fails on a1 and completes on a2."""
    log = FleetLog()
    log.fact("policy_changed", version=1, policy={"retry": {"base": 0}})
    log.agent("a1")
    log.agent("a2")
    log.task("t1")
    log.task("t10")
    log.answer(log.plan(("t1", "a1", 1), ("t10", "a2", 1)).directives()[0], "failed", reason="boom")
    log.fact("task_cancelled", task_id="t10")
    for directive in log.wait(11_000).directives():
        log.answer(directive, "completed")
    log.answer(log.plan(("t1", "a2", 2)).directive, "completed", result={"n": 1})
    return log


def told(log: FleetLog, kind: Kind, name: str, fleet: str = "default") -> list[Entry]:
    teller = Storyteller(FleetFold(0, 1), fleet, kind, name)
    teller.hear(log.log)
    assert [entry.offset for entry in teller.entries] == sorted(entry.offset for entry in teller.entries)
    return teller.entries


def test_the_story_of_a_task_from_its_submission_to_its_result() -> None:
    story = told(log(), "task", "t1")
    assert [entry.type for entry in story] == [
        "task_submitted",
        "plan_proposed",
        "directive_response",
        "plan_proposed",
        "directive_response",
    ]
    submitted, planned, failed, again, completed = story
    assert submitted.source is not None
    assert submitted.brings == []
    assert [(entry["task_id"], entry["agent_id"]) for entry in planned.says["directives"]] == [("t1", "a1")]
    assert planned.source is None
    assert [brought["type"] for brought in planned.brings] == ["assign_task"]
    assert failed.says["reason"] == "boom"
    assert failed.source is not None
    assert again.brings[0]["agent_id"] == "a2"
    assert [(brought["type"], brought["result"]) for brought in completed.brings] == [
        ("task_completed", {"n": 1})
    ]


def test_the_story_of_an_agent_has_its_directives_and_answers() -> None:
    story = told(log(), "agent", "a2")
    assert [entry.type for entry in story][:3] == ["agent_registered", "plan_proposed", "task_cancelled"]
    brought = [brought["type"] for entry in story for brought in entry.brings]
    assert brought[:3] == ["assign_task", "withdraw_task", "task_cancelled"]
    assert brought[-2:] == ["assign_task", "task_completed"]


def test_names_that_begin_alike_and_other_fleets_are_no_part_of_it() -> None:
    recorded = log()
    assert all(entry.says.get("task_id") != "t1" for entry in told(recorded, "task", "t10"))
    assert told(recorded, "task", "t1", fleet="north") == []
    assert told(recorded, "task", "nobody") == []


def test_people_read_what_happened_and_to_whom() -> None:
    entries: list[dict[str, Any]] = [entry.on_wire() for entry in told(log(), "task", "t1")]
    out = StringIO()
    Console(file=out, width=200, no_color=True).print(drawn(entries, "task"))
    lines = out.getvalue().splitlines()
    assert "task_submitted" in lines[2]
    assert "events/0 at " in lines[2]
    assert "→ assign_task" in lines[4]
    assert "default.5.0 agent_id a1" in lines[4]
    assert "outcome failed, agent_id a1, reason boom" in lines[5]
