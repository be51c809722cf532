"""What an agent remembers, over restarts, other logs, other processes and damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator import _store
from coordinator._store import Remembered, StateStore, state_path
from coordinator.directive import Answer
from coordinator.errors import StateInUse, StateUnreadable

NOW = 1_800_000_000.0


def opened(path: Path | None, log: str = "cluster/coordinator.", now: float = NOW) -> StateStore:
    store = StateStore(path)
    store.begin(log, now)
    return store


def remember(store: StateStore, number: int, *, keep_until: float | None = NOW + 60, floor: int = 2) -> str:
    directive_id = f"default.{number}.0"
    fence = (f"t{number}", floor, keep_until or NOW + 60)
    store.remember(directive_id, position=number + 1, keep_until=keep_until, fence=fence, facts={})
    return directive_id


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path / "a1")
    directive_id = remember(store, 7)
    store.answered(directive_id, Answer("completed", result={"n": 1.5}))
    store.remember_fact("draining", 1)
    first = store.incarnation
    store.close()

    store = opened(tmp_path / "a1")
    assert store.incarnation == first + 1
    assert store.find(directive_id) == Remembered(first, "completed", Answer("completed", result={"n": 1.5}))
    assert (store.position, store.floor("t7"), store.fact("draining")) == (8, 2, 1)
    store.close()


@pytest.mark.parametrize("now", [NOW, NOW - 1e6, 0.0])
def test_the_incarnation_rises_even_if_the_clock_stands_or_falls(tmp_path: Path, now: float) -> None:
    store = opened(tmp_path / "a1", now=NOW)
    first = store.incarnation
    store.close()
    store = opened(tmp_path / "a1", now=now)
    assert store.incarnation > first
    store.close()


def test_a_first_incarnation_is_above_plain_seconds_and_within_what_an_unknown_agent_may_have() -> None:
    store = opened(None)
    assert NOW < store.incarnation <= 2**32
    store.close()


def test_another_log_forgets_fences_and_positions_but_not_the_incarnation(tmp_path: Path) -> None:
    store = opened(tmp_path / "a1")
    directive_id = remember(store, 7)
    first = store.incarnation
    store.close()
    store = opened(tmp_path / "a1", log="another/coordinator.", now=0.0)
    assert (store.find(directive_id), store.floor("t7"), store.position) == (None, 0, None)
    assert store.incarnation == first + 1
    store.close()


def test_a_fence_never_falls() -> None:
    store = opened(None)
    remember(store, 7, floor=5)
    store.remember("other", position=9, keep_until=None, fence=("t7", 3, NOW), facts={})
    assert store.floor("t7") == 5
    store.prune(NOW + 59)
    assert store.floor("t7") == 5
    store.close()


def test_undelivered_final_answers_of_earlier_incarnations_are_found_in_order(tmp_path: Path) -> None:
    store = opened(tmp_path / "a1")
    ids = [remember(store, number) for number in range(5)]
    answers = [
        Answer("completed", result=1),
        Answer("accepted"),
        Answer("failed", reason="x"),
        Answer("rejected"),
    ]
    for directive_id, answer in zip(ids, answers, strict=False):
        store.answered(directive_id, answer)
    store.delivered(ids[3], answers[3])
    assert store.undelivered() == []
    store.close()
    store = opened(tmp_path / "a1")
    assert store.undelivered() == [(ids[0], answers[0]), (ids[2], answers[2])]
    store.close()


def test_an_old_delivery_does_not_vouch_for_a_newer_answer(tmp_path: Path) -> None:
    store = opened(tmp_path / "a1")
    directive_id = remember(store, 1)
    store.answered(directive_id, Answer("accepted"))
    store.answered(directive_id, Answer("completed"))
    store.delivered(directive_id, Answer("accepted"))
    store.close()
    store = opened(tmp_path / "a1")
    assert store.undelivered() == [(directive_id, Answer("completed"))]
    store.close()


def test_what_has_expired_is_forgotten_and_the_rest_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "MAX_REMEMBERED", 10)
    monkeypatch.setattr(_store, "MAX_ANSWERS", 3)
    store = opened(None)
    expired = remember(store, 0, keep_until=NOW - 1)
    ids = [remember(store, number, keep_until=NOW + number) for number in range(1, 21)]
    for directive_id in ids:
        store.answered(directive_id, Answer("completed", result=directive_id))
        if directive_id != ids[12]:
            store.delivered(directive_id, Answer("completed"))
    store.prune(NOW)
    assert store.find(expired) is None
    assert [store.find(each) is not None for each in ids] == [False] * 10 + [True] * 10
    kept = [each for each in ids if (found := store.find(each)) and found.answer]
    assert kept == [ids[12], *ids[17:]]
    assert [store.floor(f"t{number}") for number in range(1, 21)] == [0] * 10 + [2] * 10
    store.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a1"
    store = opened(path)
    program = "import sys, pathlib, coordinator._store as s; s.StateStore(pathlib.Path(sys.argv[1]))"
    second = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert "StateInUse" in second.stderr
    with pytest.raises(StateInUse):
        StateStore(path)
    store.close()
    StateStore(path).close()


def test_a_killed_process_leaves_a_state_that_opens_with_all_it_committed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tests.unit.coordinator.test_store import opened, remember;"
        "store = opened(Path(sys.argv[1])); remember(store, 7); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "a1"], check=False)
    store = opened(tmp_path / "a1")
    assert (store.floor("t7"), store.position) == (2, 8)
    store.close()


def test_a_file_that_is_no_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "a1").write_bytes(b"this is no database" * 100)
    with pytest.raises(StateUnreadable, match="a1 cannot be used"):
        StateStore(tmp_path / "a1")
    with pytest.raises(StateUnreadable):
        StateStore(tmp_path / "a1" / "below-a-file")
    later = sqlite3.connect(tmp_path / "later")
    later.execute("pragma user_version = 99")
    later.close()
    with pytest.raises(StateUnreadable, match="version 99"):
        StateStore(tmp_path / "later")


def test_each_agent_has_a_file_whose_name_every_file_system_takes() -> None:
    assert state_path("/state", "default", "a:1@host") == Path("/state/default/a%3A1%40host.sqlite3")
