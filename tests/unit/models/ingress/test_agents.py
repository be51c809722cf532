"""Who an agent is, which of its events count, and which of them the fleet log gets to see."""

from __future__ import annotations

import pytest

from models.events import AgentRegistered, StatusUpdate
from models.fleet_records import Fact, Source
from tests.unit.models.ingress.world import World, alerts, fleet_records, kinds

STATUSES = ["active", "idle", "busy", "draining", "offline", "error"]


def test_minimal_message_registers_an_unknown_agent_and_is_forwarded() -> None:
    world = World()
    (fact,) = fleet_records(world.append(b'{"type":"status_update","agent_id":"a1","status":"active"}'))
    assert isinstance(fact, Fact)
    assert isinstance(fact.event, StatusUpdate)
    assert fact.event.agent_id == "a1"
    assert fact.source == Source(0, 0, 0)
    assert fact.through == world.now
    assert world.agents == ["default/a1"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "metric_report", "metrics": {}},
        {"type": "resource_report", "resources": {}},
        {"type": "directive_response", "directive_id": "f.1.0", "outcome": "accepted"},
        {"type": "agent_registered"},
    ],
)
def test_any_event_of_its_own_registers_an_unknown_agent(event: dict[str, object]) -> None:
    world = World()
    assert kinds(world.append({**event, "agent_id": "a1"})) == [event["type"]]
    assert world.agents == ["default/a1"]


@pytest.mark.parametrize(
    "kind", ["agent_cordoned", "agent_uncordoned", "agent_drained", "agent_deregistered"]
)
def test_operators_and_farewells_do_not_bring_an_agent_into_being(kind: str) -> None:
    world = World()
    outputs = world.append({"type": kind, "agent_id": "ghost"})
    assert world.agents == []
    assert world.fold.status().rejections == {"unknown_agent": 1}
    assert kinds(outputs) == []
    (alert,) = alerts(outputs)
    assert (alert["subject"], alert["reason"]) == ("ghost", "unknown_agent")


def test_policy_can_want_a_registration_first() -> None:
    world = World()
    world.append({"type": "policy_accepted", "policy": {"register_unknown_agents": False}, "version": 1})
    world.beat()
    assert world.agents == []
    assert world.fold.status().rejections == {"unknown_agent": 1}
    world.append({"type": "agent_registered", "agent_id": "a1"})
    world.beat()
    assert world.agents == ["default/a1"]


def test_heartbeat_without_change_stays_in_the_agents_row() -> None:
    world = World()
    world.beat()
    assert kinds(world.beat(after=500)) == []
    assert kinds(world.beat(after=500, current_load=0.7)) == []
    assert world.agent().beat_time == world.now
    assert kinds(world.beat(status="busy")) == ["status_update"]


def test_changed_capabilities_and_slots_are_forwarded_once() -> None:
    world = World()
    world.beat()
    for change in ({"capabilities": ["x"]}, {"slots": 3}):
        assert kinds(world.beat(**change)) == ["status_update"]
        assert kinds(world.beat(**change)) == []
    assert kinds(world.beat()) == [], "what is not named has not changed"


def test_resource_report_is_forwarded_when_a_capacity_changes_and_what_is_used_goes_into_windows() -> None:
    world = World()
    world.beat()
    report = {"type": "resource_report", "agent_id": "a1", "resources": {"gpu": {"capacity": 2, "used": 1}}}
    assert kinds(world.append(report)) == ["resource_report"]
    assert kinds(world.append(report)) == []
    report["resources"] = {"gpu": {"capacity": 2, "used": 2}}
    assert kinds(world.append(report)) == [], "it moves all the time"
    report["resources"] = {"gpu": {"capacity": 4}}
    assert kinds(world.append(report)) == ["resource_report"]
    (window,) = world.agent().windows()
    used = world.aggregates(window)["gpu/used"]
    assert (used.count, used.max, used.last) == (4, 2, 0)


def test_resource_reports_that_name_a_part_change_nothing_else() -> None:
    world = World()
    world.beat()
    for name, forwarded in [("gpu", 1), ("memory", 1), ("gpu", 0), ("memory", 0)]:
        report = {"type": "resource_report", "agent_id": "a1", "resources": {name: {"capacity": 2}}}
        assert len(kinds(world.append(report))) == forwarded


def test_metrics_of_a_known_agent_are_not_forwarded() -> None:
    world = World()
    world.beat()
    assert world.metrics() == []


def test_status_after_a_registration_is_forwarded_even_if_it_was_the_same_before() -> None:
    world = World()
    world.beat()
    world.append({"type": "agent_registered", "agent_id": "a1"})
    assert kinds(world.beat()) == ["status_update"]


def test_unknown_fields_travel_on_untouched() -> None:
    world = World()
    raw = b'{ "type": "status_update", "agent_id": "a1", "status": "idle", "mood": {"\xc3\xa4": [1, 2.50]} }'
    (output,) = world.append(raw)
    assert raw in (output.value or b"")
    (fact,) = fleet_records([output])
    assert isinstance(fact, Fact)
    assert fact.original["mood"] == {"ä": [1, 2.5]}


def test_agents_of_the_same_name_in_two_fleets_are_two_agents() -> None:
    world = World()
    world.beat(fleet="red", seq=5)
    world.beat(fleet="blue", seq=5)
    assert world.agents == ["blue/a1", "red/a1"]
    assert world.outcomes == {"applied": 2}


def test_sequence_number_that_does_not_rise_is_a_duplicate() -> None:
    world = World()
    world.beat(seq=5)
    for seq in (5, 4, 0):
        assert world.beat(seq=seq, status="busy") == []
    assert world.outcomes == {"applied": 1, "duplicate": 3}
    assert kinds(world.beat(seq=6, status="busy")) == ["status_update"]


def test_duplicate_is_no_beat() -> None:
    world = World()
    world.beat(seq=5)
    world.ticks(2)
    world.beat(seq=5, after=1_000)
    assert world.agent().beat_tick == 0


def test_record_without_sequence_number_is_not_deduplicated_by_it() -> None:
    world = World()
    world.beat(seq=5)
    world.beat()
    world.beat()
    assert world.outcomes == {"applied": 3}
    assert world.agent().seq == 5


def test_new_incarnation_counts_from_zero_again() -> None:
    world = World()
    world.beat(incarnation=1, seq=900)
    world.beat(incarnation=2, seq=0)
    world.beat(incarnation=2, seq=0)
    world.beat(incarnation=1, seq=901)
    assert world.outcomes == {"applied": 2, "duplicate": 2}
    assert (world.agent().incarnation, world.agent().seq) == (2, 0)


def test_unnumbered_word_of_a_former_incarnation_is_rejected() -> None:
    world = World()
    world.beat(incarnation=2)
    world.beat(incarnation=1, status="error")
    assert world.fold.status().rejections == {"stale_incarnation": 1}
    assert world.agent().status == "active"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("field", "reason"), [("seq", "seq_jump"), ("incarnation", "incarnation_jump")])
def test_counter_that_leaps_is_rejected_and_remembered_nowhere(field: str, reason: str, known: bool) -> None:
    world = World()
    if known:
        world.beat(**{field: 7})
    world.beat(**{field: 2**32 + (8 if known else 1)})
    assert world.fold.status().rejections == {reason: 1}
    assert world.agents == (["default/a1"] if known else [])
    world.beat(**{field: 2**32 + (7 if known else 0)})
    assert world.outcomes["applied"] == 1 + known


def test_after_deregistration_only_a_registration_revives() -> None:
    world = World()
    world.beat(seq=1)
    assert kinds(world.append({"type": "agent_deregistered", "agent_id": "a1", "seq": 2})) == [
        "agent_deregistered"
    ]
    assert world.fold.status().agents == 0
    for event in (
        {"type": "status_update", "status": "active"},
        {"type": "metric_report", "metrics": {"x": 1}},
        {"type": "agent_deregistered"},
        {"type": "agent_cordoned"},
    ):
        assert kinds(world.append({**event, "agent_id": "a1"})) == []
    assert world.fold.status().rejections == {"deregistered": 4}
    assert kinds(world.append({"type": "agent_registered", "agent_id": "a1", "seq": 3})) == [
        "agent_registered"
    ]
    assert world.fold.status().agents == 1
    assert kinds(world.beat(seq=4)) == ["status_update"]


def test_repeated_farewell_with_its_number_is_a_duplicate_not_a_rejection() -> None:
    world = World()
    world.beat(seq=1)
    farewell = {"type": "agent_deregistered", "agent_id": "a1", "seq": 2}
    world.append(farewell)
    world.append(farewell)
    assert world.outcomes == {"applied": 2, "duplicate": 1}


def test_old_registration_does_not_revive_who_has_deregistered() -> None:
    world = World()
    world.append({"type": "agent_registered", "agent_id": "a1", "incarnation": 3, "seq": 0})
    world.append({"type": "agent_deregistered", "agent_id": "a1", "incarnation": 3, "seq": 1})
    world.append({"type": "agent_registered", "agent_id": "a1", "incarnation": 3, "seq": 0})
    assert world.outcomes == {"applied": 2, "duplicate": 1}
    assert world.agent().state == "deregistered"


def test_word_of_an_operator_is_no_beat_and_takes_no_number() -> None:
    world = World()
    world.beat(seq=3)
    world.ticks(2)
    outputs = world.append({"type": "agent_cordoned", "agent_id": "a1", "seq": 99})
    assert kinds(outputs) == ["agent_cordoned"]
    assert world.agent().seq == 3
    assert world.agent().beat_tick == 0


def test_registration_sets_the_rhythm() -> None:
    world = World()
    (fact,) = fleet_records(
        world.append({"type": "agent_registered", "agent_id": "a1", "heartbeat_interval": 30})
    )
    assert isinstance(fact, Fact)
    assert isinstance(fact.event, AgentRegistered)
    assert fact.event.heartbeat_interval == 30_000
    assert world.agent().heartbeat_interval == 30_000
    assert world.agent().gap_mean == 30_000


def test_active_agents_are_those_that_could_work() -> None:
    world = World()
    for status in STATUSES:
        world.beat(f"agent-{status}", status=status)
    status_ = world.fold.status()
    assert (status_.agents, status_.active_agents) == (6, 4)
