"""``bench/explain.py`` as people run it, small: its figures make sense, whatever their size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "bench" / "explain.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_explanations_of_waiting_tasks_are_measured() -> None:
    made = run("--agents", "50", "--tasks", "200", "--json")
    assert made.returncode == 0, made.stderr
    figures = json.loads(made.stdout)
    assert figures["agents"] == 50
    assert 0 < figures["shapes"] <= 50
    assert 0 < figures["pending"] < 200
    assert figures["alone_us"] > 0 < figures["all_us"]


def test_without_waiting_tasks_it_says_what_to_do() -> None:
    made = run("--agents", "50", "--tasks", "2")
    assert made.returncode == 2
    assert "give more --tasks" in made.stderr
