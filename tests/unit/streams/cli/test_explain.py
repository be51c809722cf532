"""An explanation as people read it: nothing in it that they cannot know the meaning of."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streams.cli.explain import drawn
from streams.cli.http import WorkerUnreachable
from streams.cli.state import open_state


def text_of(agents: int) -> str:
    answer = {
        "task_id": "t1",
        "state": "pending",
        "reason": "capacity",
        "agents": agents,
        "counts": {"eligible": agents},
        "class": "af4416ddb69131d1",
        "ahead_in_class": 3,
    }
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(answer))
    return console.export_text()


@pytest.mark.parametrize(("agents", "said"), [(1, "Of 1 agent\n"), (2, "Of 2 agents\n")])
def test_agents_are_counted_in_words_that_fit_the_number(agents: int, said: str) -> None:
    assert said in "".join(f"{line.rstrip()}\n" for line in text_of(agents).splitlines())


def test_the_hash_of_a_tasks_class_is_not_shown_to_people() -> None:
    assert "af4416ddb69131d1" not in text_of(1)


def test_nothing_is_said_to_come_from_a_worker_that_does_not_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(WorkerUnreachable):
        open_state(None, None, "default", "127.0.0.1:1")
    assert "state of the worker" not in capsys.readouterr().err


def shown(answer: dict[str, object], kind: str) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(answer, kind))
    return console.export_text()


def test_an_agent_is_explained_by_the_tasks_that_wait() -> None:
    answer: dict[str, object] = {
        "agent_id": "a1",
        "state": "alive",
        "reason": "cordoned",
        "pending": 3,
        "counts": {"capability": 2, "cordoned": 1},
        "slots": {"total": 2, "usable": 1, "held": 1, "bounds": {"loaded": 1}},
    }
    text = shown(answer, "agent")
    assert "a1 is alive: it is cordoned by an operator" in text
    assert "Of 3 pending tasks" in text
    assert "1  wait since it is cordoned by an operator" in text
    assert "1 of 2 held, 1 usable, loaded" in text
    assert "No task waits" in shown({**answer, "pending": 0, "counts": {}}, "agent")


def test_a_coalition_is_explained_by_whom_it_lacks() -> None:
    answer: dict[str, object] = {
        "coalition_id": "default.7.c0",
        "state": "degraded",
        "reason": "degraded",
        "task_id": "t1",
        "agents": 3,
        "counts": {"member": 1, "eligible": 2},
        "missing": {"hand": 2},
        "members": [{"agent_id": "a1", "role": "lead", "state": "joined"}],
    }
    text = shown(answer, "coalition")
    assert "default.7.c0 is degraded" in text
    assert "is a member already" in text
    assert "a1 as lead (joined)" in text
    assert "t1" in text


def test_the_place_of_a_task_is_shown_beside_cheaper_ones() -> None:
    here = {
        "agent_id": "a1",
        "cost": 1800,
        "work": 1300,
        "zone": 150,
        "labels": 150,
        "spread": 0,
        "load": 200,
    }
    other = {"agent_id": "a2", "cost": 750, "work": 300, "zone": 0, "labels": 50, "spread": 0, "load": 400}
    placement = {**here, "alternatives": [other], "eligible": 4, "cheaper": 1}
    text = shown({"task_id": "t1", "state": "running", "reason": "running", "placement": placement}, "task")
    assert "1 of 4 others that could take it now would be cheaper" in text
    assert [line.split() for line in text.splitlines() if line.split()[:1] in (["a1"], ["a2"])] == [
        ["a1", "(here)", "1,800", "1,300", "150", "150", "0", "200"],
        ["a2", "750", "300", "0", "50", "0", "400"],
    ]


@pytest.mark.parametrize(("state", "shows"), [("closed", False), ("open", True)])
def test_a_breaker_is_shown_where_it_matters(state: str, shows: bool) -> None:
    answer = {"agent_id": "a1", "state": "alive", "reason": "x", "pending": 0, "breaker": {"state": state}}
    assert ("breaker" in shown(answer, "agent")) == shows


def test_a_breaker_says_until_when_and_after_what() -> None:
    breaker = {"state": "half_open", "until": None, "failed": ["t1", "t2"]}
    answer = {"agent_id": "a1", "state": "alive", "reason": "tripped", "pending": 0, "breaker": breaker}
    text = shown(answer, "agent")
    assert "half-open, after t1, t2" in text
    assert "a1 is alive: it failed at several tasks in a row" in text
