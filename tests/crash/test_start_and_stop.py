"""What operators get wrong, and stops at bad moments: quick ends, plain words, nobody else harmed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.crash.worker_process import WorkerProcess

STOP_SECONDS = 10.0


def ended(worker: WorkerProcess) -> tuple[int, str]:
    """Exit status and last words of a worker that should refuse to run."""
    status = worker.wait_ended(60)
    return status, worker.log.splitlines()[-1]


def wait_for(worker: WorkerProcess, words: str) -> None:
    deadline = time.monotonic() + 60
    while words not in worker.log:
        assert worker.running, worker.log
        assert time.monotonic() < deadline, worker.log
        time.sleep(0.005)


def test_a_stop_while_kafka_is_away_is_quick_and_clean(tmp_path: Path) -> None:
    with WorkerProcess("127.0.0.1:1", "nowhere.", tmp_path / "worker") as worker:
        wait_for(worker, "kafka does not answer yet")
        started = time.monotonic()
        assert worker.stop() == 0, worker.log
        assert time.monotonic() - started < STOP_SECONDS


def test_a_stop_at_any_moment_of_a_start_is_quick_and_clean(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    moments = ("http listening", '"phase": "starting"', '"phase": "restoring"', '"phase": "running"')
    for number, moment in enumerate(moments):
        with WorkerProcess(kafka, topic_prefix, tmp_path / str(number)) as worker:
            wait_for(worker, moment)
            started = time.monotonic()
            assert worker.stop() == 0, f"after {moment}: {worker.log[-3000:]}"
            assert time.monotonic() - started < STOP_SECONDS


@pytest.mark.timeout(120)
def test_a_stop_does_not_wait_for_the_other_members_of_the_group(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    with WorkerProcess(kafka, topic_prefix, tmp_path / "frozen") as frozen:
        frozen.wait_ready()
        frozen.signal(signal.SIGSTOP)  # a join waits for it until its session has timed out
        with WorkerProcess(kafka, topic_prefix, tmp_path / "joining") as joining:
            wait_for(joining, '"phase": "starting"')
            time.sleep(2)
            started = time.monotonic()
            assert joining.stop() == 0, joining.log
            assert time.monotonic() - started < STOP_SECONDS / 2


def test_a_second_worker_on_a_busy_directory_is_refused_and_the_first_does_not_notice(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    with WorkerProcess(kafka, topic_prefix, tmp_path / "worker") as first:
        first.wait_ready()
        log = first.log
        second = WorkerProcess(kafka, topic_prefix, tmp_path / "worker")
        second.log_file = tmp_path / "second.log"
        address = (first.data_dir / "http").read_text()
        with second:
            status, words = ended(second)
        (first.data_dir / "http").write_text(address)  # starting the helper removed it
        assert status == 2
        assert "belongs to a running worker (process " in words
        assert first.running
        assert first.log.count("rebalancing") == log.count("rebalancing"), "the first lost its partitions"
        assert first.stop() == 0


@pytest.mark.timeout(180)
def test_a_copied_directory_makes_a_worker_of_its_own(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    with WorkerProcess(kafka, topic_prefix, tmp_path / "original") as original:
        original.wait_ready()
        assert original.stop() == 0
        shutil.copytree(tmp_path / "original", tmp_path / "copy")
        original.start()
        original.wait_ready()
        with WorkerProcess(kafka, topic_prefix, tmp_path / "copy") as copy:
            copy.wait_ready()
            time.sleep(8)  # under one name they would have fenced each other several times by now
            assert original.running
            assert copy.running
            assert "fenced" not in original.log + copy.log
            assert copy.stop() == 0
        assert original.stop() == 0


def test_a_taken_port_is_named_with_what_to_do(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with WorkerProcess(kafka, topic_prefix, tmp_path / "worker", COORDINATOR_HTTP_PORT=port) as worker:
            status, words = ended(worker)
    assert status == 2
    assert f"cannot listen on 127.0.0.1:{port}" in words
    assert "--http-port" in words


def test_missing_topics_are_named_where_none_may_be_created(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    with WorkerProcess(kafka, topic_prefix, tmp_path / "worker", COORDINATOR_CREATE_TOPICS="false") as worker:
        status = worker.wait_ended(60)
    assert status == 2
    assert f"{topic_prefix}events does not exist\n" in worker.log
    assert worker.log.count(f"Run: coordinator topics create -b {kafka} --prefix {topic_prefix}\n") == 1


def test_the_worker_is_a_faust_worker_and_lists_its_agents_and_tables(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "COORDINATOR_TOPIC_PREFIX": topic_prefix,
        "COORDINATOR_DATA_DIR": str(tmp_path / "worker"),
        "COORDINATOR_HTTP_PORT": "0",
        "COORDINATOR_LOG_FORMAT": "json",
    }
    faust = [str(Path(sys.executable).with_name("faust")), "-A", "streams.app"]

    def listed(what: str) -> str:
        return subprocess.run(
            [*faust, what], env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    assert "ingress" in listed("agents")
    assert "fleet" in listed("tables")
    log = tmp_path / "faust.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*faust, "worker", "-l", "info", "--without-web"], env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 60
        while '"phase": "running"' not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
