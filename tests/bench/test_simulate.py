"""The simulator: equal seeds give equal runs, nothing is lost in it, and ours is what it should be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.simulate import POLICIES, app, figures, read_trace
from bench.simulation.ours import Coordinator
from bench.simulation.world import Scenario, World

SMALL = Scenario(agents=20, slots=2, seconds=25, skills=3)


def run(policy: str, scenario: Scenario = SMALL, seed: int = 1) -> World:
    world = World(scenario, POLICIES[policy](seed), seed)
    world.run()
    return world


def of(policy: str, scenario: Scenario = SMALL, seed: int = 1) -> dict[str, Any]:
    return figures(run(policy, scenario, seed))


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_seeds_give_equal_runs(policy: str) -> None:
    scenario = replace(SMALL, seconds=8, crashes=60, flapping=0.2, stragglers=0.2, noise=0.1)
    assert of(policy, scenario) == of(policy, scenario)


def test_as_a_policy_ours_is_as_good_as_the_oracle() -> None:
    """Without the way through its topics, which the oracle does not have either."""
    scenario = replace(SMALL, skills=1, agents=60, slots=4)
    ours, oracle = of("ours-at-once", scenario), of("oracle", scenario)
    assert ours["wait_ms"]["p99"] <= 1.2 * oracle["wait_ms"]["p99"]


def test_what_arrives_is_equal_for_all_policies() -> None:
    arrived = [
        [(job.arrival, job.service, job.skill) for job in run(policy).jobs]
        for policy in ("ours", "random", "oracle")
    ]
    assert arrived[0] == arrived[1] == arrived[2]


def test_ours_waits_little_longer_than_the_oracle_and_far_less_than_reports() -> None:
    scenario = replace(SMALL, skills=1, agents=60, slots=4)
    ours, oracle, reports = (of(policy, scenario) for policy in ("ours", "oracle", "reports"))
    assert ours["wait_ms"]["p99"] < reports["wait_ms"]["p99"] / 5
    assert ours["wait_ms"]["p99"] < oracle["wait_ms"]["p99"] + 500
    assert ours["duplicates"] == 0
    assert ours["unfinished"] < 1.3 * oracle["unfinished"]


def test_what_crashed_agents_had_runs_again_and_nothing_twice_at_once() -> None:
    world = run("ours", replace(SMALL, seconds=90, crashes=60, load=0.5))
    told = figures(world)
    assert told["run_again"] > 0
    assert told["duplicates"] == 0
    assert 0 < told["reassigned_ms"]["p50"] < 30_000
    early = [job for job in world.jobs if job.arrival < 40_000]
    assert all(job.ended is not None for job in early), "nothing is lost"
    assert isinstance(world.policy, Coordinator)
    world.policy.fleet.validate()
    world.policy.ingress.validate()


def test_many_who_fall_silent_together_keep_their_work() -> None:
    told = of("ours", replace(SMALL, seconds=70, load=0.5, mass_silence=0.4))
    assert told["alerts"]["brake_engaged"] == 1
    assert "agent_lost" not in told["alerts"]
    assert told["duplicates"] == 0
    assert told["run_again"] <= 5, "what was on its way when they fell silent, and nothing else"


def test_a_trace_is_read_and_run(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("arrival_s,service_s,capability\n0.5,1.5,a\n0.1,2,b\n0.2,0.3,a\n")
    tasks, skills = read_trace(file)
    assert (tasks, skills) == ([(0.1, 2.0, 1), (0.2, 0.3, 0), (0.5, 1.5, 0)], 2)
    options = ["--trace", str(file), "--agents", "4", "--seconds", "9", "--seeds", "1", "--json"]
    ran = CliRunner().invoke(app, ["--policies", "ours,oracle", *options])
    assert ran.exit_code == 0, ran.output
    rows = json.loads(ran.stdout)["rows"]
    assert [row["unfinished"] for row in rows.values()] == [0, 0]
    assert rows["oracle"]["makespan_of_bound"] >= 1


@pytest.mark.parametrize(
    "content", ["", "arrival_s,service_s\n1,2\n", "arrival_s,service_s,capability\nx,2,a\n"]
)
def test_a_trace_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(content)
    ran = CliRunner().invoke(app, ["--trace", str(file), "--policies", "ours"])
    assert ran.exit_code == 2
    assert "arrival_s,service_s,capability" in ran.stderr


def test_an_unknown_policy_is_refused_with_those_there_are() -> None:
    ran = CliRunner().invoke(app, ["--policies", "best"])
    assert ran.exit_code == 2
    assert "there are ours, ours-at-once, oracle" in ran.stderr


def test_agents_that_fail_at_everything_soon_get_nothing() -> None:
    scenario = replace(SMALL, seconds=60, agents=40, skills=1, load=0.5, black_holes=0.05)
    ours, by_reports = of("ours", scenario), of("reports", scenario)
    assert ours["alerts"]["breaker_opened"] >= 2
    assert ours["failures"] < by_reports["failures"] / 5
    assert ours["unfinished"] < 60


def test_long_tasks_move_from_full_agents_to_empty_ones_and_stay_there() -> None:
    """Half of the agents crash late and come back empty."""
    scenario = replace(
        SMALL,
        agents=20,
        slots=10,
        skills=1,
        slow_share=0,
        load=0.5,
        mean_service=600,
        seconds=240,
        crashes=60,
    )
    patch = {"rebalancing": {"moves": 10, "load_memory": 5, "cool_down": 600}}

    def figures_of(policy: dict[str, object] | None) -> dict[str, Any]:
        world = World(scenario, Coordinator(policy), 1)
        world.run()
        return figures(world)

    without, balanced = figures_of(None), figures_of(patch)
    assert without["moves_per_min"] == 0 < balanced["moves_per_min"]
    assert balanced["ping_pong_per_min"] == 0
    assert balanced["load_cov"] < without["load_cov"]
    assert balanced["duplicates"] == 0


def test_a_patch_that_is_no_policy_is_an_error() -> None:
    made = CliRunner().invoke(app, ["--policies", "ours", "--seconds", "1", "--policy", '{"no such": 1}'])
    assert made.exit_code == 2
    assert "is no policy patch" in made.output
