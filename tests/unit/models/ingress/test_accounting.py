"""Every record has one outcome: dead letters, CloudEvents, rejections, and what is said about them."""

from __future__ import annotations

import itertools

import pytest

from models.dead_letters import MAX_KEPT_BYTES, record_size
from models.events import FleetEvent
from models.fleet_records import Fact, ThroughTicked
from models.fold import Headers, LogRecord
from models.security import Security
from tests.unit.models.ingress.world import START, TICK, World, alerts, fleet_records, header, kinds, of_topic

BEAT = {"type": "status_update", "agent_id": "a1", "status": "active"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, b"bytes"),
        (b"", b"bytes"),
        (b"\xff\x00", b"bytes"),
        (b"{", b"bytes"),
        (b'{"type":"status_update","type":"status_update","agent_id":"a","status":"idle"}', b"bytes"),
        (b"[]", b"schema"),
        (b"{}", b"schema"),
        (b'{"type":"status_update","agent_id":"a 1","status":"idle"}', b"schema"),
        (b'{"type":"status_update","agent_id":"a","status":"asleep"}', b"schema"),
        (b'{"type":"make_coffee"}', b"unknown_type"),
        (b'{"type":{}}', b"unknown_type"),
        (b'{"type":"clock_ticked","x":9007199254740992}', b"limits"),
        (b'{"type":"clock_ticked","x":' + b"[" * 32 + b"]" * 32 + b"}", b"limits"),
        (b'{"type":"clock_ticked","x":"' + b"x" * (1 << 20) + b'"}', b"limits"),
    ],
)
def test_invalid_record_is_kept_untouched_with_the_reason(value: bytes | None, code: bytes) -> None:
    world = World()
    headers = (("coord-origin", b"forged"), ("x", None), ("x", b"\xff"))
    outputs = world.append(value, key=b"\x00key", headers=headers)
    (letter,) = of_topic(outputs, "dead-letters")
    assert (letter.key, letter.value) == (b"\x00key", value)
    assert letter.headers[:3] == headers
    assert header(letter, "coord-origin") == b"coordinator.events/0/0"
    assert (header(letter, "coord-error") or b"").split(b":")[0] == code
    assert world.outcomes == {"dead_lettered": 1}
    assert fleet_records(outputs) == []


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, b"\x00" * (9 << 20), ()),
        (b"\x00" * (9 << 20), b"\x00" * (9 << 20), (("x", b"\x00" * (9 << 20)),)),
        (b"k", None, (("x" * (9 << 20), None),)),
        (b"k", b"{", (("", None),) * 500_000),
    ],
)
def test_letter_fits_into_its_topic_however_large_the_record(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    world = World()
    (letter,) = of_topic(world.append(value, key=key, headers=headers), "dead-letters")
    written = LogRecord(0, 0, letter.key, letter.value, letter.headers)
    assert record_size(written) <= 4 << 20
    cut = header(letter, "coord-cut") or b""
    assert int(cut) == record_size(LogRecord(0, 0, key, value, headers)) > MAX_KEPT_BYTES
    assert (header(letter, "coord-error") or b"").split(b":")[0] in (b"limits", b"bytes")
    assert (letter.key is None) == (key is None)
    assert (letter.value is None) == (value is None)
    assert world.outcomes == {"dead_lettered": 1}


def test_record_that_just_fits_is_kept_whole() -> None:
    world = World()
    value = b"\x00" * MAX_KEPT_BYTES
    (letter,) = of_topic(world.append(value), "dead-letters")
    assert letter.value == value
    assert header(letter, "coord-cut") is None


def test_error_of_a_dead_letter_stays_short_whatever_it_quotes() -> None:
    world = World()
    (letter, _) = world.append({**BEAT, "capabilities": ["x" * 100_000] * 9, "ä" * 50_000: 1})
    assert len(header(letter, "coord-error") or b"") < 8_192


def test_dead_letters_are_alerted_once_a_minute_for_each_reason() -> None:
    world = World()
    seen = []
    for _ in range(121):
        seen += alerts(world.append(b"{", after=1_000))
    assert [alert["reason"] for alert in seen] == ["bytes"] * 3
    assert len(alerts(world.append(b"[]"))) == 1
    alert = seen[0]
    assert alert["type"] == "dead_letter"
    assert alert["subject"] == "coordinator.events/0"
    assert alert["cause"] == {"offset": 0, "events": [{"partition": 0, "offset": 0}]}
    assert alert["time"] == (START + 1_000) / 1000


def test_rejections_are_alerted_once_a_minute_for_each_subject_and_reason() -> None:
    world = World()
    outputs = []
    for _ in range(100):
        outputs += world.append({"type": "agent_cordoned", "agent_id": "ghost", "fleet": "f"}, after=100)
        outputs += world.append({"type": "agent_cordoned", "agent_id": "spook", "fleet": "f"}, after=100)
    assert [(alert["subject"], alert["fleet"]) for alert in alerts(outputs)] == [
        ("ghost", "f"),
        ("spook", "f"),
    ]
    assert world.fold.status().rejections == {"unknown_agent": 200}
    assert of_topic(outputs, "alerts")[0].key == b"f"
    assert world.agents == []


def test_what_was_alerted_is_forgotten_in_time() -> None:
    world = World()
    for number in range(50):
        world.append({"type": "agent_cordoned", "agent_id": f"ghost-{number}"})
    assert len(world.fold.tables["alerts"]) == 50
    world.ticks(61)
    assert len(world.fold.tables["alerts"]) == 0


def test_refused_records_bring_no_fleet_into_being() -> None:
    world = World()
    world.append({"type": "agent_cordoned", "agent_id": "ghost", "fleet": "f"})
    world.append({"type": "policy_changed", "fleet": "g", "policy": {"nonsense": 1}, "version": 1})
    assert len(world.fold.tables["fleets"]) == 0


def test_cloud_event_header_gives_the_type_where_the_body_has_none() -> None:
    world = World()
    headers = (("ce_specversion", b"1.0"), ("ce_type", b"status_update"))
    (fact,) = fleet_records(world.append({"agent_id": "a1", "status": "idle"}, headers=headers))
    assert isinstance(fact, Fact)
    assert fact.event.type == "status_update"


def test_body_wins_over_cloud_event_headers_and_contradictions_are_counted() -> None:
    world = World()
    headers = (("ce_specversion", b"1.0"), ("ce_type", b"agent_deregistered"), ("ce_id", b"other"))
    assert kinds(world.append({**BEAT, "event_id": "mine"}, headers=headers)) == ["status_update"]
    assert world.fold.status().contradictions == 2
    world.append(BEAT, headers=(("ce_specversion", b"1.0"), ("ce_type", b"status_update"), ("ce_id", b"x")))
    assert world.fold.status().contradictions == 2


@pytest.mark.parametrize("version", [b"", b"0.3", b"2.0", b"1.0\n", b"10.0", b"\xff"])
def test_cloud_events_of_another_generation_are_dead_letters(version: bytes) -> None:
    world = World()
    (letter, _) = world.append(BEAT, headers=(("ce_specversion", version),))
    assert (header(letter, "coord-error") or b"").startswith(b"cloudevents: ")


def test_cloud_event_headers_without_a_version_mean_nothing() -> None:
    world = World()
    world.append({"agent_id": "a1"}, headers=(("ce_type", b"status_update"),))
    assert world.outcomes == {"dead_lettered": 1}


def test_trace_of_an_event_travels_on() -> None:
    world = World()
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (output,) = world.append(BEAT, headers=(("traceparent", trace), ("secret", b"x")))
    assert output.headers == (("traceparent", trace),)


@pytest.mark.parametrize("trace", [None, b"", b"00-1-2-01", b"\xff" * 55, b"0" * 5_000_000])
def test_trace_that_is_none_is_left_behind(trace: bytes | None) -> None:
    world = World()
    (output,) = world.append(BEAT, headers=(("traceparent", trace),))
    assert output.headers == ()


def test_only_the_last_of_many_traces_travels_on() -> None:
    world = World()
    traces = [b"00-%032x-b7ad6b7169203331-01" % number for number in range(1, 1_000)]
    (output,) = world.append(BEAT, headers=tuple(("traceparent", trace) for trace in traces))
    assert output.headers == (("traceparent", traces[-1]),)


def test_tick_tells_every_partition_of_the_fleet_log_how_far_this_one_is() -> None:
    world = World(0, fleet=3)
    outputs = world.append(TICK, after=1_000)
    assert [output.partition for output in outputs] == [0, 1, 2]
    for tick in fleet_records(outputs):
        assert isinstance(tick, ThroughTicked)
        assert (tick.partition, tick.through) == (0, world.now)


def test_time_is_forwarded_in_small_steps_from_a_backlog_without_ticks() -> None:
    world = World()
    world.append(TICK)
    outputs = [output for _ in range(100) for output in world.beat(after=100)]
    times = [record.through for record in fleet_records(outputs) if isinstance(record, ThroughTicked)]
    assert len(times) == 7
    assert all(1_250 <= later - earlier <= 1_400 for earlier, later in itertools.pairwise([START, *times]))
    assert times[-1] < world.now, "what stands at the same millisecond may follow"


def test_through_is_forwarded_every_interval_even_when_nothing_happens() -> None:
    world = World()
    through = [tick.through for tick in fleet_records(world.ticks(5)) if isinstance(tick, ThroughTicked)]
    assert through == [START + second * 1_000 for second in range(1, 6)]


def test_log_time_never_runs_backwards() -> None:
    world = World()
    world.append(BEAT, after=5_000)
    world.now -= 3_000
    (fact,) = fleet_records(world.append({**BEAT, "status": "busy"}))
    assert isinstance(fact, Fact)
    assert fact.through == START + 5_000


def test_fact_goes_to_the_partition_of_its_fleet() -> None:
    world = World(0, fleet=5)
    (output,) = world.append({"type": "task_submitted", "task_id": "t1", "fleet": "default"})
    assert (output.key, output.partition) == (b"default", 4)


def test_tasks_are_forwarded_each_time_for_only_the_fleet_fold_knows_them() -> None:
    world = World()
    for _ in range(2):
        assert kinds(world.append({"type": "task_submitted", "task_id": "t1"})) == ["task_submitted"]
    assert kinds(world.append({"type": "task_cancelled", "task_id": "t2"})) == ["task_cancelled"]


def test_policy_change_is_checked_and_forwarded_and_applies_only_when_echoed() -> None:
    world = World()
    change = {"type": "policy_changed", "policy": {"windows": {"size": 5}}, "version": 3}
    assert kinds(world.append(change)) == ["policy_changed"]
    assert kinds(world.append({**change, "version": 4})) == ["policy_changed"]
    world.append({"type": "policy_accepted", "policy": {"windows": {"size": 5}}, "version": 3})
    assert world.append({"type": "policy_accepted", "policy": {}, "version": 3}) == []
    assert kinds(world.append(change)) == []
    assert world.fold.status().rejections == {"stale_policy": 1}
    assert world.outcomes == {"applied": 3, "duplicate": 1, "rejected": 1}
    assert kinds(world.append({**change, "policy": {"windws": {}}, "version": 9})) == []
    assert world.outcomes["dead_lettered"] == 1


def test_security_can_name_authors_and_refuse_them() -> None:
    def author(value: bytes | None, headers: object) -> str | None:
        return dict(headers).get("author", b"").decode() or None  # type: ignore[call-overload]

    def refusal(name: str | None, event: FleetEvent) -> str | None:
        return None if name == event.subject else "forbidden"

    world = World(security=Security(author=author, refusal=refusal))
    world.append(BEAT, headers=(("author", b"a1"),))
    world.append(BEAT, headers=(("author", b"mallory"),))
    world.append(TICK)
    assert world.outcomes == {"applied": 1, "rejected": 1, "tick": 1}
    assert world.fold.status().rejections == {"forbidden": 1}


def test_security_can_open_sealed_values() -> None:
    world = World(security=Security(opened=lambda value: bytes(reversed(value)) if value else value))
    sealed = b'{"type":"status_update","agent_id":"a1","status":"idle"}'[::-1]
    (output,) = world.append(sealed)
    assert sealed[::-1] in (output.value or b"")
