"""``coordinator dev`` as people run it: processes of its own on a real Kafka, killed and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEADLINE = 90.0
COORDINATOR = [sys.executable, "-m", "streams.cli.main"]


class Running:
    """A command that runs, and what it has said so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str], directory: Path) -> None:
        self.process = subprocess.Popen(
            [*COORDINATOR, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env={**os.environ, **environment},
        )
        self.told: list[str] = []
        self.out = ""
        self._readers = [threading.Thread(target=self._read_err), threading.Thread(target=self._read_out)]
        for reader in self._readers:
            reader.start()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for a line on standard error."""
        give_up = time.monotonic() + DEADLINE
        while True:
            over = not self._readers[0].is_alive() or time.monotonic() > give_up
            for line in self.told:
                if found := re.search(pattern, line):
                    return found
            if over:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line like {pattern!r} in:\n" + "\n".join(self.told))

    def end(self) -> int:
        status = self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(10)
        return status

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.told.extend(line.rstrip("\n") for line in iter(lines.readline, ""))

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            self.out = out.read()


Start = Callable[..., Running]


@pytest.fixture
def start(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Starts ``coordinator …`` with the test's Kafka and topics; ends it with the test."""
    environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "COORDINATOR_TOPIC_PREFIX": topic_prefix}
    started: list[Running] = []

    def start_one(*arguments: str) -> Running:
        started.append(Running(list(arguments), environment, tmp_path))
        return started[-1]

    yield start_one
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
        running.end()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.timeout(240)
def test_every_task_completes_on_a_first_run_and_on_a_second_whose_worker_is_killed(start: Start) -> None:
    arguments = ("dev", "--agents", "5", "--tasks", "40", "--exit-when-done", "--json", "--http-port", "0")
    first = start(*arguments)
    assert first.end() == 0, first.told
    summary = json.loads(first.out)
    assert (summary["ok"], summary["tasks"]["completed"], summary["worker_starts"]) == (True, 40, 1)

    second = start(*arguments, "--rate", "20")
    pid = int(second.until(r"worker (\d+) ready")[1])
    second.until(r"ended [1-9]")
    os.kill(pid, signal.SIGKILL)
    assert second.end() == 0, second.told
    summary = json.loads(second.out)
    assert (summary["ok"], summary["tasks"]["completed"], summary["worker_starts"]) == (True, 40, 2)
    second.until(f"worker {pid} ended with signal SIGKILL")


@pytest.mark.timeout(240)
def test_without_a_demo_other_commands_find_the_coordinator_and_ctrl_c_ends_it_all(start: Start) -> None:
    dev = start("dev", "--no-demo", "--http-port", "0")
    pid = int(dev.until(r"worker (\d+) ready")[1])
    agents = start("fleet", "--agents", "2", "--tasks", "0", "--seed", "3")
    agents.until("2 agents")

    done = start("submit", "mine", "--requires", "write", "--payload", '{"size":0.01}', "--wait", "--json")
    assert done.end() == 0, done.told
    result = json.loads(done.out)
    assert (result["task_id"], result["state"]) == ("mine", "completed")
    again = start("submit", "mine", "--requires", "write", "--payload", '{"size":0.01}', "--wait", "--json")
    assert again.end() == 0, again.told
    assert json.loads(again.out) == result
    for payload in (
        "1",
        "1",
        "2",
    ):  # the second alert is held back, and the third content has none of its own
        other = start("submit", "mine", "--requires", "write", "--payload", payload, "--wait", "--json")
        assert (other.end(), other.out) == (1, "")
        assert any("'mine' exists in the fleet 'default' with other content" in line for line in other.told)
    again = start("submit", "mine", "--requires", "write", "--payload", '{"size":0.01}', "--wait", "--json")
    assert again.end() == 0, again.told
    other = start("submit", "mine", "--payload", "3")
    assert (other.end(), other.told) == (0, [])

    assert start("submit", "impossible", "--requires", "fly").end() == 0
    cancelled = start("cancel", "impossible", "--reason", "no wings", "--wait", "--json")
    assert cancelled.end() == 0, cancelled.told
    ended = json.loads(cancelled.out)
    assert (ended["state"], ended["reason"]) == ("cancelled", "no wings")
    assert start("submit", "impossible", "--requires", "fly", "--wait").end() == 1

    shown = start("agents", "--json")
    assert shown.end() == 0, shown.told
    answer = json.loads(shown.out)
    assert [agent["liveness"] for agent in answer["agents"]] == ["alive", "alive"]
    assert answer["at"]["offset"] > 0
    assert shown.told[0].startswith("state of the worker at")
    explained = start("explain", "task", "mine", "--json", "--http", shown.told[0].split()[-1])
    assert explained.end() == 0, explained.told
    explanation = json.loads(explained.out)
    assert explanation["state"] == "completed"
    assert sum(explanation["counts"].values()) == explanation["agents"]

    looked_at = start("fsck", "--json")
    assert looked_at.end() == 0, looked_at.told
    assert {one["status"] for one in json.loads(looked_at.out)} == {"ok"}

    agents.process.send_signal(signal.SIGINT)
    assert agents.end() == 0, agents.told
    dev.process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    assert dev.end() == 0, dev.told
    assert time.monotonic() - begun < 15
    assert gone(pid)
