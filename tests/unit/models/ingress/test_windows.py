"""Event-time windows: what they hold, when they close, and what comes too late for them."""

from __future__ import annotations

import sys

from models.fleet_records import Aggregate, WindowClosed
from models.fold import LogRecord, Output
from models.ingress.cells import MANY
from models.ingress.rows import AgentTable
from tests.unit.models.ingress.world import START, World, fleet_records

SIZE = 10_000


def closed(outputs: list[Output]) -> list[WindowClosed]:
    return [record for record in fleet_records(outputs) if isinstance(record, WindowClosed)]


def test_window_aggregates_every_metric_and_the_load() -> None:
    world = World()
    for load, cpu in ((0.5, 3), (0.25, 1), (0.75, 2)):
        world.beat(after=1_000, current_load=load)
        world.metrics(metrics={"cpu": cpu})
    (window,) = closed(world.ticks(20))
    assert (window.fleet, window.start, window.end, window.late) == ("default", START, START + SIZE, 0)
    assert window.agents == {
        "a1": {
            "cpu": Aggregate(count=3, sum=6, mean=2, min=1, max=3, last=2),
            "current_load": Aggregate(count=3, sum=1.5, mean=0.5, min=0.25, max=0.75, last=0.75),
        }
    }


def test_many_agents_share_one_record_in_the_order_of_their_ids() -> None:
    world = World()
    for name in ("c", "a", "b"):
        world.metrics(name)
    (window,) = closed(world.ticks(20))
    assert list(window.agents) == ["a", "b", "c"]


def test_large_window_is_spread_over_several_records() -> None:
    world = World()
    value = '{"type":"metric_report","agent_id":"agent-%04d","metrics":{"cpu":1}}'
    world.fold.fold([LogRecord(0, START, None, (value % number).encode()) for number in range(1_001)])
    windows = closed(world.ticks(20))
    assert [len(window.agents) for window in windows] == [500, 500, 1]
    assert [window.source.index for window in windows] == sorted(window.source.index for window in windows)


def test_record_of_a_window_is_bounded_by_its_metrics_too() -> None:
    world = World()
    name = "m" * 120
    for agent in range(20):
        world.metrics(f"a{agent}", metrics={f"{name}{i}": -1.7976931348623157e308 for i in range(256)})
    outputs = world.ticks(20)
    assert sum(len(window.agents) for window in closed(outputs)) == 20
    assert max(len(output.value or b"") for output in outputs) < 2_000_000


def test_event_time_closes_a_window_without_any_tick() -> None:
    world = World()
    world.metrics()
    assert closed(world.metrics(after=SIZE + 4_999)) == []
    (window,) = closed(world.metrics(after=1))
    assert window.end == START + SIZE == world.fold.status().watermark
    assert window.agents["a1"]["cpu"].count == 1


def test_ticks_close_a_window_when_the_stream_is_silent() -> None:
    world = World()
    world.metrics()
    assert closed(world.ticks(14)) == []
    (window,) = closed(world.ticks(1))
    assert window.end == START + SIZE
    assert closed(world.ticks(60)) == [], "a closed window is emitted once"


def test_event_counts_in_the_window_of_its_own_time() -> None:
    world = World()
    world.metrics(after=SIZE + 1_000, time=(START + SIZE - 500) / 1000)
    world.metrics(time=(START + SIZE + 500) / 1000)
    first, second = closed(world.ticks(30))
    assert (first.start, second.start) == (START, START + SIZE)


def test_last_is_the_youngest_value_not_the_one_that_arrived_last() -> None:
    world = World()
    world.metrics(after=3_000, time=(START + 2_000) / 1000, metrics={"cpu": 2})
    world.metrics(time=(START + 1_000) / 1000, metrics={"cpu": 1})
    (window,) = closed(world.ticks(20))
    assert window.agents["a1"]["cpu"].last == 2


def test_time_from_the_far_future_does_not_close_windows_early() -> None:
    world = World()
    world.metrics("normal")
    assert closed(world.metrics("fast", time=(START + 3_600_000) / 1000)) == []
    (window,) = closed(world.ticks(16))
    assert window.start == START
    assert window.agents.keys() == {"normal", "fast"}, "it counts as ahead by the allowed skew, no more"


def test_time_from_the_far_past_counts_as_old_as_is_allowed() -> None:
    world = World()
    world.metrics(after=2 * SIZE, time=1.0)
    (window,) = closed(world.ticks(20))
    assert window.start == START + SIZE


def late_world() -> World:
    """A world whose watermark has just passed the end of its first window, thanks to an agent ahead of time."""
    world = World()
    world.beat("a1")
    world.beat("fast", after=SIZE + 3_000, current_load=0.5, time=(START + SIZE + 5_000) / 1000)
    return world


def test_metric_that_comes_after_its_window_closed_is_late_and_reported() -> None:
    world = late_world()
    world.metrics("a1", time=(START + SIZE - 1) / 1000)
    assert world.outcomes == {"applied": 2, "late": 1}
    (window,) = closed(world.ticks(20))
    assert (window.late, list(window.agents)) == (1, ["fast"])
    world.metrics("a1")
    (window,) = closed(world.ticks(20))
    assert window.late == 0, "reported once"


def test_late_metric_is_a_beat_all_the_same() -> None:
    world = late_world()
    world.metrics("a1", after=1, time=(START + SIZE - 1) / 1000)
    assert world.outcomes["late"] == 1
    assert world.agent("a1").beat_time == world.now


def test_facts_are_applied_however_late_they_are() -> None:
    world = late_world()
    facts = [
        {"type": "status_update", "status": "busy", "current_load": 0.1},
        {"type": "directive_response", "directive_id": "d", "outcome": "completed"},
        {"type": "resource_report", "resources": {"gpu": {"capacity": 1}}},
        {"type": "agent_registered"},
    ]
    for fact in facts:
        outputs = world.append({**fact, "agent_id": "a1", "time": (START + SIZE - 1) / 1000})
        assert len(fleet_records(outputs)) == 1
    assert world.outcomes == {"applied": 2 + len(facts)}
    (window,) = closed(world.ticks(20))
    assert window.late == 2, "load and use of resources missed their window"


def test_late_metric_of_an_unknown_agent_still_registers_it() -> None:
    world = late_world()
    outputs = world.metrics("new", time=(START + SIZE - 1) / 1000)
    assert len(fleet_records(outputs)) == 1
    assert "late" not in world.outcomes


def test_watermark_of_one_fleet_makes_nothing_late_in_another() -> None:
    world = late_world()
    world.metrics("a1", fleet="calm")
    world.metrics("a1", fleet="calm", time=(START + SIZE - 1) / 1000)
    assert "late" not in world.outcomes


def test_window_of_a_deregistered_agent_is_still_emitted() -> None:
    world = World()
    world.metrics()
    world.append({"type": "agent_deregistered", "agent_id": "a1"})
    (window,) = closed(world.ticks(20))
    assert list(window.agents) == ["a1"]


def test_sums_beyond_the_largest_number_stay_numbers() -> None:
    world = World()
    for _ in range(3):
        world.metrics(metrics={"up": sys.float_info.max, "down": -sys.float_info.max})
    (window,) = closed(world.ticks(20))
    assert window.agents["a1"]["up"].sum == sys.float_info.max
    assert window.agents["a1"]["down"].sum == -sys.float_info.max


def test_agent_cannot_fill_a_window_with_metrics_without_end() -> None:
    world = World()
    for part in range(6):
        world.metrics(metrics={f"m{part}-{i}": 1.0 for i in range(256)})
    assert world.fold.status().rejections == {"too_many_metrics": 2}
    world.metrics(metrics={"m0-0": 2.0})
    assert world.outcomes == {"applied": 5, "rejected": 2}
    (window,) = closed(world.ticks(20))
    assert len(window.agents["a1"]) == 1_024


def test_new_window_size_closes_the_old_windows_and_counts_nothing_twice() -> None:
    world = World()
    world.metrics(after=1_000)
    outputs = world.append({"type": "policy_accepted", "policy": {"windows": {"size": 60}}, "version": 1})
    (window,) = closed(outputs)
    assert (window.start, window.end, window.agents["a1"]["cpu"].count) == (START, START + SIZE, 1)
    world.metrics()
    (window,) = closed(world.ticks(120))
    assert window.end - window.start == 60_000
    assert window.agents["a1"]["cpu"].count == 1


def test_samples_wait_to_be_added_but_not_without_end() -> None:
    world = World()
    metrics = {f"m{number}": 1.0 for number in range(100)}
    for _ in range(50):
        world.fold.fold([world.record({"type": "metric_report", "agent_id": "a1", "metrics": metrics})])
    agents = world.fold.tables["agents"]
    assert isinstance(agents, AgentTable)
    assert 0 < len(agents.cells[START].values) <= MANY + 256
    assert world.aggregates(next(world.agent().windows()))["m0"].count == 50
