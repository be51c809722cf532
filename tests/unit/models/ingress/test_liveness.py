"""Silence, suspicion, loss and recovery: by counted ticks alone."""

from __future__ import annotations

import math

import pytest

from models.events import DEFAULT_HEARTBEAT_INTERVAL
from models.fleet_records import AgentLost, AgentRecovered, AgentSuspected, ThroughTicked
from models.ingress.liveness import deviations, thresholds
from models.policy import DEFAULT_POLICY, LivenessPolicy
from tests.unit.models.ingress.world import TICK, World, fleet_records, kinds

MINUTE = 60_000


def steady(world: World, seconds: int = 30, agent_id: str = "a1") -> None:
    """An agent that beats and an owner that ticks, once a second each."""
    for _ in range(seconds):
        world.beat(agent_id, after=400)
        world.append(TICK, after=600)


def test_silent_agent_is_suspected_then_lost_within_the_bounds() -> None:
    world = World()
    steady(world)
    records = [r for r in fleet_records(world.ticks(30)) if not isinstance(r, ThroughTicked)]
    suspected, lost = records
    assert isinstance(suspected, AgentSuspected)
    assert isinstance(lost, AgentLost)
    assert (suspected.agent_id, suspected.fleet) == ("a1", "default")
    assert 4_000 <= suspected.silence <= 6_000
    assert 10_000 <= lost.silence <= 12_000


def test_agent_that_beats_in_time_is_never_suspected() -> None:
    world = World()
    for _ in range(200):
        assert kinds(world.beat(after=1_000)) in (["status_update"], [])
        assert kinds(world.append(TICK)) == []


def test_every_event_of_an_agent_is_a_beat() -> None:
    world = World()
    steady(world, 5)
    events = [
        {"type": "metric_report", "metrics": {"x": 1}},
        {"type": "resource_report", "resources": {}},
        {"type": "directive_response", "directive_id": "d", "outcome": "progress"},
        {"type": "agent_registered"},
        {"type": "status_update", "status": "busy"},
    ]
    for event in events * 4:
        seen = kinds(world.append({**event, "agent_id": "a1"}, after=3_000)) + kinds(world.append(TICK))
        assert not {"agent_suspected", "agent_lost"} & set(seen)
        assert world.agent().beat_time == world.now


def test_recovered_agent_is_announced_before_its_event_and_can_be_lost_again() -> None:
    world = World()
    steady(world)
    assert kinds(world.ticks(15)) == ["agent_suspected", "agent_lost"]
    recovered, fact = fleet_records(world.beat(status="busy", after=100))
    assert isinstance(recovered, AgentRecovered)
    assert recovered.silence == 15_700
    assert recovered.source.index == 0
    assert fact.source.index == 1  # type: ignore[union-attr]
    assert kinds(world.ticks(20)) == ["agent_suspected", "agent_lost"]


def test_suspected_agent_recovers_by_a_beat() -> None:
    world = World()
    steady(world)
    assert kinds(world.ticks(7)) == ["agent_suspected"]
    assert kinds(world.beat(after=10)) == ["agent_recovered"]
    assert kinds(world.beat(after=10)) == []


def test_nothing_dies_while_there_are_no_ticks() -> None:
    world = World()
    steady(world)
    world.beat("other", after=60 * MINUTE)
    assert kinds(world.append(TICK, after=60 * MINUTE)) == []
    assert world.agent().state == "alive"


def test_beats_in_the_log_keep_agents_alive_through_ten_minutes_without_a_coordinator() -> None:
    world = World()
    steady(world, agent_id="faithful")
    steady(world, agent_id="silent")
    # The coordinator is away: beats arrive, nobody ticks. Back again it reads them all, then ticks resume.
    for _ in range(600):
        world.beat("faithful", after=1_000)
    seen = []
    for _ in range(30):
        seen += kinds(world.beat("faithful", after=500)) + kinds(world.append(TICK, after=500))
    assert seen == ["agent_suspected", "agent_lost"]
    assert world.agent("faithful").state == "alive"
    assert world.agent("silent").state == "lost"


def test_silence_is_never_more_than_the_log_time_since() -> None:
    world = World()
    world.append(TICK, after=1_000)
    world.beat(after=900)
    records = fleet_records(world.append(TICK, after=100)) + fleet_records(world.ticks(10))
    (suspected,) = [record for record in records if isinstance(record, AgentSuspected)]
    assert suspected.silence <= world.now - world.agent().beat_time


def test_forged_ticks_have_no_power() -> None:
    world = World()
    steady(world)
    for _ in range(1_000):
        assert kinds(world.append(TICK, after=1)) == []
    assert world.agent().state == "alive"
    assert world.fold.status().ticks <= 32


def test_in_the_long_run_ticks_count_no_faster_than_time_passes() -> None:
    world = World()
    for _ in range(1_000):
        world.append(TICK, after=130)
    assert 129 <= world.fold.status().ticks <= 132


@pytest.mark.parametrize("jitter", [0, 30, 120, 200])
def test_ticks_that_come_a_little_early_or_late_all_count(jitter: int) -> None:
    world = World()
    for number in range(100):
        world.append(TICK, after=1_000 + (jitter if number % 2 else -jitter))
    assert world.fold.status().ticks == 100


@pytest.mark.parametrize("status", ["offline", "error"])
def test_who_says_it_is_away_is_forwarded_at_once_and_not_suspected_for_its_silence(status: str) -> None:
    world = World()
    steady(world)
    assert kinds(world.beat(status=status)) == ["status_update"]
    assert kinds(world.ticks(60)) == []
    assert kinds(world.beat()) == ["status_update"]
    assert kinds(world.ticks(15)) == ["agent_suspected", "agent_lost"]


def test_deregistered_agent_is_not_lost() -> None:
    world = World()
    steady(world)
    world.append({"type": "agent_deregistered", "agent_id": "a1"})
    assert kinds(world.ticks(60)) == []


def test_longer_heartbeat_interval_gives_more_time() -> None:
    world = World()
    world.append({"type": "agent_registered", "agent_id": "a1", "heartbeat_interval": 10})
    assert kinds(world.ticks(40)) == []
    assert kinds(world.ticks(160)) == ["agent_suspected", "agent_lost"]


def test_irregular_agent_is_given_more_time_but_not_beyond_the_bound() -> None:
    world = World()
    for number in range(120):
        world.beat(after=200 if number % 2 else 5_800)
        world.append(TICK)
    records = fleet_records(world.ticks(30))
    (suspected,) = [record for record in records if isinstance(record, AgentSuspected)]
    (lost,) = [record for record in records if isinstance(record, AgentLost)]
    assert suspected.silence == DEFAULT_POLICY.liveness.suspect_max
    assert lost.silence <= DEFAULT_POLICY.liveness.lost_max


def test_many_agents_lost_at_one_tick_come_in_the_order_of_their_ids() -> None:
    world = World()
    for name in ("c", "a", "b"):
        world.beat(name)
    world.ticks(4)
    suspected = [r.agent_id for r in fleet_records(world.ticks(10)) if isinstance(r, AgentSuspected)]
    assert suspected == ["a", "b", "c"]


def test_changed_policy_applies_to_agents_that_are_silent_already() -> None:
    world = World()
    steady(world)
    world.ticks(2)
    policy = {"liveness": {"suspect_max": 1, "suspect_pause": 0, "lost_max": 3}}
    world.append({"type": "policy_accepted", "policy": policy, "version": 1})
    assert kinds(world.ticks(1)) == ["agent_suspected", "agent_lost"]


@pytest.mark.parametrize("phi", [1.0, 3.0, 8.0, 12.0, 64.0])
def test_deviations_are_where_the_logistic_approximation_reaches_phi(phi: float) -> None:
    y = deviations(phi)
    tail = math.exp(-y * (1.5976 + 0.070566 * y * y))
    assert -math.log10(tail / (1 + tail)) == pytest.approx(phi, abs=0.05)


def test_thresholds_grow_with_irregularity_and_stay_in_order() -> None:
    policy = LivenessPolicy()
    before = (0, 0)
    for deviation in (0, 50, 200, 500, 1_000, 5_000, 10**9):
        now = thresholds(policy, DEFAULT_HEARTBEAT_INTERVAL, 1_000.0, float(deviation) ** 2)
        assert now[0] < now[1]
        assert now[0] >= before[0]
        assert now[1] >= before[1]
        before = now
    assert before == (policy.suspect_max, policy.lost_max)


def test_a_brokers_clock_that_jumps_ahead_and_back_lets_time_stand_still_and_kills_nobody() -> None:
    """Log time never runs backwards: until the clock has caught up nothing is silent, and nothing is undone."""
    world = World()
    steady(world)
    world.now += 60 * MINUTE
    steady(world, 3)
    ahead = world.fold.status()
    world.now -= 60 * MINUTE
    seen = kinds(world.beat("new"))
    for _ in range(10):
        seen += kinds(world.beat(after=500))
        seen += kinds(world.ticks(1))
    stopped = world.fold.status()
    assert (stopped.log_time, stopped.ticks) == (ahead.log_time, ahead.ticks)
    world.now += 60 * MINUTE
    seen += kinds(world.ticks(3))
    assert seen == ["status_update"], "who came meanwhile is known, and nobody is missed"
    assert kinds(world.ticks(30)) == ["agent_suspected", "agent_suspected", "agent_lost", "agent_lost"]
