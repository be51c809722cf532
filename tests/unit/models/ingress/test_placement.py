"""Records that stand in the wrong partition, and their arrival in the right one."""

from __future__ import annotations

from models.fold import LogRecord, Output
from tests.unit.models.ingress.world import World, header, id_in, kinds, of_topic

AGENT = id_in(1, 4)


def reappended(outputs: list[Output]) -> LogRecord:
    """The record that the target partition will read."""
    (output,) = of_topic(outputs, "events")
    return LogRecord(0, 0, output.key, output.value, output.headers)


def deliver(world: World, record: LogRecord) -> list[Output]:
    assert isinstance(record.value, bytes)
    return world.append(record.value, key=record.key, headers=record.headers, after=10)


def test_misplaced_record_is_appended_again_to_its_place_with_its_origin() -> None:
    world = World(3, events=4)
    outputs = world.append({"type": "status_update", "agent_id": AGENT, "status": "active"}, key=b"other")
    (output,) = outputs
    assert (output.topic, output.partition, output.key) == ("events", 1, AGENT.encode())
    assert output.value == world.log[0].value
    assert header(output, "coord-origin") == b"coordinator.events/3/0"
    assert world.outcomes == {"rekeyed": 1}
    assert world.agents == []


def test_misplaced_record_that_is_too_large_to_be_appended_again_is_a_dead_letter() -> None:
    beat = {"type": "status_update", "agent_id": AGENT, "status": "active"}
    bulky = (("x", b"\x00" * (2 << 20)),)
    wrong = World(3, events=4)
    outputs = wrong.append(beat, headers=bulky)
    assert of_topic(outputs, "events") == []
    (letter,) = of_topic(outputs, "dead-letters")
    assert (header(letter, "coord-error") or b"").startswith(b"limits:")
    assert wrong.outcomes == {"dead_lettered": 1}
    right = World(1, events=4)
    right.append(beat, headers=bulky)
    assert right.outcomes == {"applied": 1}, "in its place it does no harm"


def test_task_belongs_to_its_id_and_a_policy_to_its_fleet() -> None:
    world = World(0, events=4)
    task, fleet = id_in(2, 4, "task"), id_in(3, 4, "fleet")
    (output,) = world.append({"type": "task_submitted", "task_id": task})
    assert (output.partition, output.key) == (2, task.encode())
    (output,) = world.append({"type": "policy_changed", "fleet": fleet, "policy": {}, "version": 1})
    assert (output.partition, output.key) == (3, fleet.encode())


def test_ticks_and_echoes_have_no_place() -> None:
    for partition in range(4):
        world = World(partition, events=4)
        world.append({"type": "clock_ticked"})
        world.append({"type": "policy_accepted", "fleet": "f", "policy": {}, "version": 1})
        assert world.outcomes == {"tick": 1, "applied": 1}


def test_record_in_its_place_is_applied_whatever_its_key() -> None:
    world = World(1, events=4)
    for key in (None, b"", b"\xff\xfe", b"someone-else"):
        world.append({"type": "status_update", "agent_id": AGENT, "status": "active"}, key=key)
    assert world.outcomes == {"applied": 4}


def test_arrival_is_applied_once_however_often_it_is_repeated() -> None:
    wrong, right = World(3, events=4), World(1, events=4)
    beat = {"type": "directive_response", "agent_id": AGENT, "directive_id": "d", "outcome": "accepted"}
    first, second = reappended(wrong.append(beat)), reappended(wrong.append(beat))
    for record in (first, second, first, second, second):
        deliver(right, record)
    assert right.outcomes == {"applied": 2, "duplicate": 3}


def test_repeats_are_told_for_each_origin_partition_alone() -> None:
    right = World(1, events=4)
    beat = {"type": "status_update", "agent_id": AGENT, "status": "active"}
    for origin in (b"coordinator.events/3/100", b"coordinator.events/2/7", b"coordinator.events/3/101"):
        right.append(beat, headers=(("coord-origin", origin),))
    assert right.outcomes == {"applied": 3}


def test_reappended_event_is_a_beat() -> None:
    wrong, right = World(3, events=4), World(1, events=4)
    for _ in range(60):
        right.ticks(1)
        outputs = deliver(
            right, reappended(wrong.append({"type": "metric_report", "agent_id": AGENT, "metrics": {}}))
        )
        assert "agent_suspected" not in kinds(outputs)
    assert right.agent(AGENT).state == "alive"
    assert right.agent(AGENT).beat_time == right.now


def test_forged_origin_in_a_wrong_partition_is_replaced() -> None:
    world = World(3, events=4)
    forged = (("coord-origin", b"coordinator.events/1/999999"), ("traceparent", b"t"))
    (output,) = world.append({"type": "status_update", "agent_id": AGENT, "status": "idle"}, headers=forged)
    assert [h for h in output.headers if h[0] == "coord-origin"] == [
        ("coord-origin", b"coordinator.events/3/0")
    ]
    assert header(output, "traceparent") == b"t"


def test_origin_that_cannot_be_one_is_ignored() -> None:
    nonsense = [
        b"",
        b"x",
        None,
        b"coordinator.events/1/5",
        b"coordinator.events/4/5",
        b"other.topic/3/5",
        b"coordinator.events/3/-5",
        b"coordinator.events/3/99999999999999999999",
        b"coordinator.events/3/5\n",
    ]
    world = World(1, events=4)
    for value in nonsense * 2:
        world.append(
            {"type": "status_update", "agent_id": AGENT, "status": "idle"}, headers=(("coord-origin", value),)
        )
    assert world.outcomes == {"applied": 2 * len(nonsense)}
    assert not world.fold.tables["origins"].rows


def test_origin_that_leaps_does_not_shut_out_those_that_follow() -> None:
    world = World(1, events=4)
    beat = {"type": "status_update", "agent_id": AGENT, "status": "idle"}
    for offset in (5, 10**17, 6):
        world.append(beat, headers=(("coord-origin", b"coordinator.events/3/%d" % offset),))
    assert world.outcomes == {"applied": 3}


def test_prefix_of_the_topic_is_part_of_the_origin() -> None:
    world = World(3, events=4, topic="prod.coordinator.events")
    (output,) = world.append({"type": "status_update", "agent_id": AGENT, "status": "idle"})
    assert header(output, "coord-origin") == b"prod.coordinator.events/3/0"


def test_invalid_record_is_a_dead_letter_where_it_stands_since_it_has_no_place() -> None:
    world = World(3, events=4)
    world.append({"type": "status_update", "agent_id": AGENT})
    assert world.outcomes == {"dead_lettered": 1}
