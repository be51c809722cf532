"""Nothing hangs silently: phases have deadlines, progress restarts them."""

from __future__ import annotations

import subprocess
import sys
import time

from streams.engine.errors import DeadlineExceeded
from streams.engine.watchdog import RUNNING, Watchdog


def watch(deadlines: dict[str, float], overdue: list[DeadlineExceeded]) -> Watchdog:
    watchdog = Watchdog(deadlines, final=frozenset({"stopping"}), on_overdue=overdue.append, force_exit=False)
    watchdog.start()
    return watchdog


def until(condition: object, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_phase_without_progress_fails_once_and_says_where_it_was() -> None:
    overdue: list[DeadlineExceeded] = []
    watchdog = watch({"restoring": 0.3}, overdue)
    watchdog.enter("restoring")
    watchdog.progress("agents: 17 records")
    until(lambda: overdue)
    time.sleep(0.6)
    watchdog.stop()
    [error] = overdue
    assert error.phase == "restoring"
    assert "agents: 17 records" in str(error)


def test_progress_restarts_the_clock() -> None:
    overdue: list[DeadlineExceeded] = []
    watchdog = watch({"restoring": 0.6}, overdue)
    watchdog.enter("restoring")
    for _ in range(10):
        time.sleep(0.1)
        watchdog.progress("on")
    watchdog.enter(RUNNING)
    time.sleep(0.6)
    watchdog.stop()
    assert not overdue


def test_stopping_is_final() -> None:
    watchdog = Watchdog({}, final=frozenset({"stopping"}), on_overdue=lambda _: None, force_exit=False)
    watchdog.enter("stopping")
    watchdog.enter("rebalancing")
    assert watchdog.phase == "stopping"


def test_a_process_that_cannot_stop_is_ended_with_a_reason() -> None:
    program = (
        "import time\n"
        "from streams.engine.watchdog import Watchdog\n"
        "dog = Watchdog({'stopping': 0.3}, final=frozenset({'stopping'}), on_overdue=print, force_exit=True)\n"
        "dog.start(); dog.enter('stopping'); time.sleep(30)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "stopping took longer than" in done.stderr


def test_the_last_words_of_a_process_that_cannot_stop_are_its_reason() -> None:
    code = """
import subprocess
import sys
import time
from streams.engine.errors import BrokersSilent
from streams.engine.watchdog import Watchdog
dog = Watchdog(
    {"failed": 0.1},
    final=frozenset({"failed"}),
    on_overdue=print,
    reason=lambda: BrokersSilent("h:1", "events", 46.0),
    force_exit=True,
)
dog.start()
dog.enter("failed")
time.sleep(20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith("error: Kafka at h:1 has acknowledged nothing for 46 s")
