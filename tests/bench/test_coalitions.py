"""``bench/coalitions.py`` as people run it: what it prints and writes, and what it says of bad instances."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.coalitions import BUDGETS, gain

PROGRAM = Path(__file__).parents[2] / "bench" / "coalitions.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), "--no-column-bound", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_budget_is_measured_against_a_bound_and_the_coalitions_are_what_they_say(
    tmp_path: Path,
) -> None:
    saved, chosen = tmp_path / "instance.json", tmp_path / "coalitions.json"
    made = run("--agents", "40", "--tasks", "12", "--json", "--save", str(saved), "--repetitions", "1")
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    assert list(result["rows"]) == list(BUDGETS)
    assert (result["agents"], result["tasks"], result["bound_kind"]) == (40, 12, "own bound")
    for figures in result["rows"].values():
        assert figures["gain"] <= result["bound"]
        assert figures["cpu_ms"] > 0
    again = run("--instance", str(saved), "--json", "--out", str(chosen), "--repetitions", "1")
    assert json.loads(again.stdout)["gain"] == result["gain"]
    assert gain(json.loads(saved.read_text()), json.loads(chosen.read_text())) == result["gain"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "it is no instance"),
        (
            '{"agents": [{"agent_id": "a1", "cost": -1, "capabilities": []}], "tasks": []}',
            "a cost of 0 or more",
        ),
        ('{"agents": [], "tasks": [{"task_id": "t1", "cover": []}]}', "1 to 16 different capabilities"),
        (
            '{"agents": [], "tasks": [{"task_id": "t1", "cover": ["a"], "value": 1, "max_size": 0}]}',
            "a max_size of 1 or more",
        ),
    ],
)
def test_what_is_no_instance_is_refused_with_the_reason(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "instance.json"
    file.write_text(content)
    done = run("--instance", str(file))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {file}")
    assert words in done.stderr
