"""The worker under ``dev``: restarted when it dies, given up when it keeps dying, stopped for certain."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.dev import processes
from streams.dev.processes import Death, WorkerKeepsDying, WorkerProcess, described
from streams.disk import DiskFull

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DIE = "import sys; print('cannot go on', flush=True); sys.exit(3)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('up', flush=True); time.sleep(60)"
)


def worker(program: str, log: Path, deaths: list[Death] | None = None) -> WorkerProcess:
    on_death = (deaths if deaths is not None else []).append
    return WorkerProcess([sys.executable, "-c", program], {}, log, on_death)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)


async def test_a_killed_worker_is_started_again(tmp_path: Path) -> None:
    deaths: list[Death] = []
    process = worker(SLEEP, tmp_path / "worker.log", deaths)
    run = asyncio.create_task(process.run())
    await until(lambda: process.last_lines() == ["up"])
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: process.starts == 2 and process.last_lines() == ["up"])
    assert process.pid != first
    assert (deaths[0].pid, deaths[0].status, process.starts) == (first, -signal.SIGKILL, 2)
    await process.stop()
    await run
    assert process.pid is None


async def test_a_worker_that_keeps_dying_ends_it_with_the_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 1)
    deaths: list[Death] = []
    process = worker(DIE, tmp_path / "worker.log", deaths)
    with pytest.raises(WorkerKeepsDying, match="cannot go on") as caught:
        await process.run()
    assert caught.value.status == 3
    assert process.starts == 2
    assert [death.status for death in deaths] == [3]


async def test_a_worker_that_refuses_its_settings_is_not_started_again(tmp_path: Path) -> None:
    refusing = "import sys; print('error: port 1 is taken', flush=True); sys.exit(2)"
    process = worker(refusing, tmp_path / "worker.log")
    with pytest.raises(WorkerKeepsDying, match=r"(?s)ended with status 2.*port 1 is taken"):
        await process.run()
    assert process.starts == 1


async def test_a_worker_that_dies_of_a_full_disk_says_so_though_its_log_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0)
    monkeypatch.setattr(processes, "is_full", lambda _: True)
    with pytest.raises(DiskFull, match=f"the worker ended: no space left on {tmp_path}"):
        await worker(DIE, tmp_path / "worker.log").run()


async def test_a_killed_worker_is_gone_at_once_and_stays_so(tmp_path: Path) -> None:
    process = worker(STUBBORN, tmp_path / "worker.log")
    run = asyncio.create_task(process.run())
    await until(lambda: process.last_lines() == ["up"])
    process.kill()
    await run
    assert (process.pid, process.starts) == (None, 1)


async def test_a_worker_that_ignores_the_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STOP_TIMEOUT", 0.2)
    process = worker(STUBBORN, tmp_path / "worker.log")
    run = asyncio.create_task(process.run())
    await until(lambda: process.last_lines() == ["up"])
    await process.stop()
    await run
    assert process.pid is None


def test_a_worker_on_the_leash_ends_when_its_starter_does() -> None:
    """The starter here just closes the pipe, which is all that a ``kill -9`` leaves of it."""
    program = (
        "from streams.dev.leash import hold; import time; hold(); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as held:
        assert held.stdin is not None
        assert held.stdout is not None
        assert held.stdout.readline() == b"up\n"
        assert held.poll() is None
        held.stdin.close()
        assert held.wait(20) == -signal.SIGTERM


def test_an_exit_status_is_said_as_people_say_it() -> None:
    assert described(3) == "status 3"
    assert described(-9) == "signal SIGKILL"
