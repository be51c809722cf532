"""A dry run as people read it, and what becomes of a policy that is none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streams.cli import main as command_line
from streams.cli.plan import FAILED, drawn


def text_of(answer: dict[str, Any]) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(answer))
    return console.export_text()


def entry(task: str, *agents: str, kind: str = "assign_task") -> dict[str, Any]:
    return {"type": kind, "task_id": task, "agents": [{"agent_id": name, "role": None} for name in agents]}


def test_a_dry_run_says_who_gets_what_and_why_others_wait() -> None:
    answer = {
        "placed": 2,
        "truncated": True,
        "entries": [entry("t1", "a1"), entry("t2", "a2", "a3", kind="form_coalition")],
        "pending": {"capacity": 7},
    }
    text = text_of(answer)
    assert "The next plan would place 2 tasks" in text
    assert "its budget does not suffice" in text
    assert "7 would wait: all agents that could take it are full" in text
    assert "a2, a3" in text


def test_a_difference_is_shown_by_tasks() -> None:
    one = {"placed": 1, "pending": {}, "entries": [entry("t1", "a1")]}
    differs = [{"task_id": "t1", "now": entry("t1", "a1")["agents"], "if": None}]
    text = text_of({**one, "if": {**one, "entries": [], "placed": 0}, "differs": differs})
    assert "1 task differs" in text
    assert "waits" in text


def test_only_so_many_are_shown() -> None:
    entries = [entry(f"t{number}", "a1") for number in range(50)]
    text = text_of({"placed": 50, "pending": {}, "entries": entries})
    assert "the first 40 of 50" in text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is no JSON"),
        (b"[]", "holds no JSON object"),
        (b'{"planning": {"agein": 1}}', "policy.planning.agein"),
    ],
)
def test_a_policy_that_is_none_ends_with_status_2(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(content)
    ran = CliRunner().invoke(command_line.app, ["plan", "--if", str(file)])
    assert ran.exit_code == FAILED
    assert complaint in ran.output + ran.stderr
