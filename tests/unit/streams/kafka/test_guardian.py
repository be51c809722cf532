"""The process that ends the broker when its starter is gone, with small programs in the broker's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.kafka import guardian


def guard(*command: str) -> subprocess.Popen[bytes]:
    lock, other = os.pipe()
    os.close(other)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", guardian.__file__, str(lock), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[lock],
    )
    os.close(lock)
    return process


def announced_pid(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    with process.stdout:
        return int(process.stdout.readline())


def close_pipe(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def test_the_command_ends_when_the_pipe_does() -> None:
    process = guard("sleep", "60")
    pid = announced_pid(process)
    assert Path(f"/proc/{pid}").exists()
    close_pipe(process)
    assert process.wait(10) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{pid}").exists()


def test_a_termination_signal_is_passed_on() -> None:
    process = guard("sleep", "60")
    announced_pid(process)
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    close_pipe(process)


@pytest.mark.parametrize("status", [0, 3])
def test_the_commands_exit_status_is_its_own(status: int) -> None:
    process = guard("sh", "-c", f"exit {status}")
    announced_pid(process)
    assert process.wait(10) == status
    close_pipe(process)


def test_a_command_that_does_not_exist_ends_it_without_a_pid() -> None:
    process = guard("/nonexistent/java")
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b""
    assert process.wait(10) != 0
    close_pipe(process)


def test_a_command_that_ignores_the_signal_is_killed_in_the_end(tmp_path: Path) -> None:
    impatient = tmp_path / "guardian.py"
    source = Path(guardian.__file__).read_text().replace("STOP_TIMEOUT = 20.0", "STOP_TIMEOUT = 0.2")
    impatient.write_text(source)
    stubborn = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(impatient), "0", sys.executable, "-c", stubborn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    announced_pid(process)
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.readline() == b"ready\n"
    started = time.monotonic()
    close_pipe(process)
    assert process.wait(10) == 128 + signal.SIGKILL
    assert time.monotonic() - started < 5
