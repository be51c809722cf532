"""``bench/plan.py`` as people run it, small: what it prints and writes, and what it says of bad instances."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import bounds, instances
from bench.baselines import BASELINES
from bench.plan import PLANNERS, Fleet, demands_of

PROGRAM = Path(__file__).parents[2] / "bench" / "plan.py"
ONE = {
    "agents": [
        {"agent_id": "a1", "capabilities": ["x"], "slots": 2, "used": 1, "speed": 2.0, "zone": "east"}
    ],
    "tasks": [
        {"task_id": "t1", "capabilities": ["x"], "size": 3, "zone": "west", "priority": 5},
        {"task_id": "t2", "capabilities": ["x"], "size": 3, "zone": "west", "priority": 7},
    ],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_row_is_measured_on_the_same_instance_against_a_bound(tmp_path: Path) -> None:
    saved, placed = tmp_path / "instance.json", tmp_path / "placement.json"
    made = run("--agents", "60", "--tasks", "200", "--no-optimum", "--json", "--save", str(saved))
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    assert list(result["rows"]) == [*PLANNERS, *BASELINES]
    assert (result["agents"], result["tasks"], result["bound_kind"]) == (60, 200, "relaxation")
    for figures in result["rows"].values():
        assert result["bound"] <= figures["objective"]
        assert figures["cpu_ms"] > 0
    assert result["objective"] == result["rows"]["ours"]["objective"]
    again = run("--instance", str(saved), "--rows", "ours", "--no-optimum", "--json", "--out", str(placed))
    assert json.loads(again.stdout)["objective"] == result["objective"]
    instance = instances.from_json(json.loads(saved.read_bytes()))
    cost, unplaced = instances.cost(instance, json.loads(placed.read_bytes()))
    assert (cost, unplaced) == (result["objective"], result["unplaced"])


def test_the_figures_are_those_of_the_published_objective(tmp_path: Path) -> None:
    file, placed = tmp_path / "one.json", tmp_path / "placement.json"
    file.write_text(json.dumps(ONE))
    done = run("--instance", str(file), "--rows", "ours", "--no-optimum", "--json", "--out", str(placed))
    assert done.returncode == 0, done.stderr
    assert json.loads(placed.read_text()) == {"t1": None, "t2": "a1"}, "the more urgent one has the slot"
    assert json.loads(done.stdout)["objective"] == 3 * 50 + 150 + 400 * 3 // 2 + 20_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "is no instance"),
        (json.dumps({**ONE, "agents": [*ONE["agents"], *ONE["agents"]]}), "'a1' is there twice"),
        (json.dumps({**ONE, "tasks": [ONE["tasks"][0], ONE["tasks"][0]]}), "two tasks have one id"),
        (json.dumps({**ONE, "agents": [{"agent_id": "a1", "speed": 0}]}), "a speed above 0"),
    ],
)
def test_what_is_no_instance_is_refused_with_the_reason(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "instance.json"
    file.write_text(content)
    done = run("--instance", str(file), "--no-optimum")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {file}")
    assert words in done.stderr


def test_a_row_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    done = run("--rows", "best")
    assert done.returncode == 2
    assert "no row is called 'best'; there are ours, ours-thorough, random" in done.stderr


def test_the_relaxation_is_what_the_cheapest_places_cost_and_counts_who_has_none() -> None:
    content: dict[str, Any] = {**ONE, "tasks": [ONE["tasks"][0]]}
    for agents, expected in ((ONE["agents"], 3 * 50 + 150 + 600), ([], 20_000)):
        instance = instances.from_json({**content, "agents": agents})
        fleet = Fleet.of(instance)
        demands, _ = demands_of(instance, fleet)
        assert bounds.relaxation(fleet.agents, demands) == expected


def test_the_worker_places_in_rounds_what_the_planner_places_at_once() -> None:
    made = run("--agents", "60", "--tasks", "200", "--no-optimum", "--rows", "ours,worker", "--json")
    assert made.returncode == 0, made.stderr
    ours, worker = json.loads(made.stdout)["rows"].values()
    assert worker["unplaced"] == ours["unplaced"] == 0
    assert worker["objective"] < 1.1 * ours["objective"]
    assert worker["rounds"] >= 1
