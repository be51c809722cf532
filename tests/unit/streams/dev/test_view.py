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
            {"agent_id": f"a{number}", "status": "busy", "liveness": "alive", "slots": 2, "held": 1}
            for number in range(1, agents)
        ]
        + [{"agent_id": "z", "status": "idle", "liveness": "lost", "slots": 12, "held": 3}],
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
