"""The live view shows what there is, at any size of the terminal."""

from __future__ import annotations

import io

import orjson
import pytest
from rich.console import Console

from streams.dev.figures import Figures
from streams.dev.hints import demo_hints, own_agents_hints
from streams.dev.view import Scene, draw
from streams.reader import Stored

NOW = 1_767_225_600_000


def record(topic: str, value: dict[str, object]) -> Stored:
    return Stored(topic, 0, 0, NOW, None, orjson.dumps({"fleet": "default", **value}), ())


def scene(agents: int = 3) -> Scene:
    figures = Figures("default")
    figures.observe(
        [
            record("events", {"type": "task_submitted", "task_id": "t1"}),
            record(
                "directives",
                {"type": "assign_task", "agent_id": "a1", "task_id": "t1", "issued_at": NOW / 1000},
            ),
            record(
                "results", {"type": "task_completed", "task_id": "t1", "agent_id": "a1", "time": NOW / 1000}
            ),
            record("alerts", {"type": "agent_lost", "subject": "a2", "reason": "silent", "time": NOW / 1000}),
        ]
    )
    return Scene(
        figures=figures,
        kafka="127.0.0.1:9092",
        hints=demo_hints("t1", 77),
        started_ms=NOW - 61_000,
        now_ms=NOW,
        worker_http="127.0.0.1:9090",
        worker_pid=77,
        worker_starts=2,
        worker_state="ready",
        summary={"tasks": {"pending": 4, "running": 2, "impossible": 1}},
        agents=[
            {
                "agent_id": f"a{number}",
                "status": "busy",
                "liveness": "alive",
                "slots": 2,
                "held": 1,
                "usable": 2,
            }
            for number in range(1, agents)
        ]
        + [{"agent_id": "z", "status": "idle", "liveness": "lost", "slots": 12, "held": 3, "usable": 12}],
        oldest={"task_id": "t9", "reason": "capacity"},
        wanted=10,
        submitted=1,
        messages=[(NOW, "worker 76 ended with signal SIGKILL")],
    )


def drawn(what: Scene, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, record=True, force_terminal=True, file=io.StringIO())
    console.print(draw(what, width, height), height=height)
    return console.export_text().splitlines()


def test_the_picture_tells_addresses_states_waits_and_alerts() -> None:
    text = "\n".join(drawn(scene(), 180, 40))
    for shown in (
        "127.0.0.1:9092",
        "ready pid 77 (start 2)",
        "127.0.0.1:9090",
        "4 pending",
        "2 running",
        "1 no agent could hold",
        "t9: all agents that could take it are full",
        "1 of 10 ",
        "a1 ← t1",
        "agent_lost  a2  silent",
        "worker 76 ended with signal SIGKILL",
        "3/12",
        "coordinator tail directives -f",
        "kill -9 77",
    ):
        assert shown in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60), (40, 12)])
def test_the_picture_fills_the_terminal_and_never_more(width: int, height: int) -> None:
    lines = drawn(scene(agents=100), width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width


def on_a_small_terminal(hints: list[tuple[str, str]] | None = None, agents: int = 20) -> str:
    small = scene(agents)
    small.agents = [{**agent, "agent_id": f"demo-analyst-{agent['agent_id']}"} for agent in small.agents]
    small.worker_pid, small.worker_starts, small.messages = 1_234_567, 1, []
    small.summary = {"tasks": {"pending": 4, "running": 12, "completed": 12_345, "failed": 1}}
    small.figures.directives.append(
        {
            "type": "assign_task",
            "agent_id": "demo-analyst-05",
            "task_id": "demo-mwwro6wd-000251",
            "issued_at": NOW / 1000,
        }
    )
    small.hints = small.hints if hints is None else hints
    return "\n".join(drawn(small, 80, 24))


def test_a_small_terminal_shows_ports_the_pid_all_counts_and_how_to_stop() -> None:
    text = on_a_small_terminal()
    for shown in ("127.0.0.1:9092", "pid 1234567", ":9090", "up 1 min 01 s", "Ctrl-C stops"):
        assert shown in text
    for shown in ("4 pending", "12 running", "12,345 completed", "1 failed", "submitted", "throughput"):
        assert shown in text
    assert "demo-analyst-05 ← demo-mwwro6wd-000251" in text
    assert "coordinator tail directives -f" in text


def test_of_long_names_the_end_stays_since_it_tells_agents_apart() -> None:
    text = on_a_small_terminal()
    assert "analyst-a1 " in text
    assert "analyst-a2 " in text


def test_every_row_for_agents_is_used_before_some_are_only_counted() -> None:
    for agents in (8, 9, 10, 11, 12, 13):
        lines = on_a_small_terminal(agents=agents).splitlines()
        left = [line[:30].strip("│ ") for line in lines[4:19]]
        body = left[: next(place for place, line in enumerate(left) if line.startswith("╰"))]
        assert ("" not in body) or not any("more" in line for line in body)


def unbroken(lines: list[str]) -> str:
    """Without frames and spaces, so that it does not matter where a line was wrapped."""
    return "".join("".join(lines).replace("│", "").split())


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_hints_are_never_cut_in_the_middle(width: int, height: int) -> None:
    hints = own_agents_hints("127.0.0.1:9092", "coordinator.")
    few = scene(agents=1)
    few.hints, few.messages = hints, []
    text = unbroken(drawn(few, width, height))
    for hint in hints:
        assert all(unbroken([part]) in text for part in hint)


def test_a_promise_is_shown_whole_or_not_at_all() -> None:
    for width in range(60, 160, 7):
        text = unbroken(drawn(scene(), width, 40))
        assert ("notaskislostordonetwice" in text) == ("notask" in text)


def test_agents_in_trouble_are_seen_even_when_there_is_no_room_for_all() -> None:
    text = "\n".join(drawn(scene(agents=100), 100, 30))
    assert " z " in text
    assert "more" in text


def test_a_picture_of_nothing_yet_can_be_drawn() -> None:
    hints = own_agents_hints("127.0.0.1:9092", "coordinator.")
    empty = Scene(figures=Figures("default"), kafka="k:1", hints=hints, started_ms=NOW, now_ms=NOW)
    text = "\n".join(drawn(empty, 120, 40))
    assert "no agent has registered yet" in text
    assert "starting" in text
