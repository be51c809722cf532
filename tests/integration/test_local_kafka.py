"""A real broker from its first start to its last: see also ``tests/unit/streams/kafka``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.disk import DiskFull
from streams.kafka import (
    BrokerExited,
    DataDirectoryDamaged,
    DataDirectoryInUse,
    LocalKafka,
    PortTaken,
)

TOPIC = "notes"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """One for all tests of this file that leave it running as they found it, and not that of other files."""
    with LocalKafka(tmp_path_factory.mktemp("local") / "kafka") as running:
        yield running


async def create_topic_and_append(bootstrap: str, value: bytes, topic: str = TOPIC) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def read_first(bootstrap: str, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        record = await asyncio.wait_for(consumer.getone(), 20)
        value: bytes | None = record.value
        return value


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended yet (a zombie that nobody waits for has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


async def test_records_and_cluster_survive_a_restart_at_the_same_address(broker: LocalKafka) -> None:
    address, pid = broker.bootstrap, broker.pid
    await create_topic_and_append(address, b"kept", "restarted")
    cluster = json.loads((broker.directory.path / "broker.json").read_text())["cluster_id"]

    await asyncio.to_thread(broker.stop)
    assert not is_running(pid)
    os.close(broker.directory.lock("nobody"))
    await asyncio.to_thread(broker.start)

    assert broker.bootstrap == address
    assert await read_first(address, "restarted") == b"kept"
    assert json.loads((broker.directory.path / "broker.json").read_text())["cluster_id"] == cluster


async def test_acknowledged_records_survive_kill_9_of_the_broker(broker: LocalKafka) -> None:
    await create_topic_and_append(broker.bootstrap, b"acknowledged", "killed")
    await asyncio.to_thread(broker.kill)
    with pytest.raises(BrokerExited) as failure:
        broker.check()
    assert failure.value.status == 128 + signal.SIGKILL
    assert "SIGKILL" in str(failure.value)

    await asyncio.to_thread(broker.start)
    assert await read_first(broker.bootstrap, "killed") == b"acknowledged"


async def test_a_broker_that_ran_out_of_space_names_the_cause_and_goes_on_once_there_is_some(
    broker: LocalKafka,
) -> None:
    await create_topic_and_append(broker.bootstrap, b"acknowledged", "full")
    with broker.log.open("a") as log:
        log.write(
            "2026-01-01 ERROR Error while appending records\njava.io.IOException: No space left on device\n"
        )
    await asyncio.to_thread(broker.kill)
    with pytest.raises(DiskFull, match=f"Kafka ended: no space left on {broker.directory.path}"):
        broker.check()

    await asyncio.to_thread(broker.start)
    assert await read_first(broker.bootstrap, "full") == b"acknowledged"


def test_a_running_broker_is_not_started_again(broker: LocalKafka) -> None:
    with pytest.raises(RuntimeError, match="already runs"):
        broker.start()
    broker.check()


def test_a_broker_that_never_ran_has_no_pid_and_nothing_to_stop(tmp_path: Path) -> None:
    never_started = LocalKafka(tmp_path / "kafka")
    never_started.stop()
    never_started.check()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = never_started.pid


def test_a_second_broker_on_the_same_directory_is_told_where_the_first_one_is(
    broker: LocalKafka,
) -> None:
    with pytest.raises(DataDirectoryInUse) as failure:
        LocalKafka(broker.directory.path).start()
    assert failure.value.bootstrap == broker.bootstrap
    assert failure.value.pid == os.getpid()
    assert f"KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}" in str(failure.value)
    broker.check()


def test_the_broker_listens_on_this_machine_only(broker: LocalKafka) -> None:
    """Every listening socket of the broker is bound to a loopback address (in /proc/net in hexadecimal)."""
    inodes = set()
    for descriptor in Path(f"/proc/{broker.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(descriptor))
    listening = [
        fields[1].split(":")[0]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/{broker.pid}/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes
    ]
    assert len(listening) == 2
    assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.fixture(scope="module")
def used_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a broker with one topic leaves behind; copy it before damaging it."""
    path = tmp_path_factory.mktemp("used") / "kafka"
    with LocalKafka(path) as broker:
        asyncio.run(create_topic_and_append(broker.bootstrap, b"precious"))
    return path


def garble_quorum_state(data: Path) -> None:
    (data / "__cluster_metadata-0" / "quorum-state").write_bytes(b"\xff\x00garbage")


def cut_the_metadata_log(data: Path) -> None:
    log = data / "__cluster_metadata-0" / "00000000000000000000.log"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 3])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (garble_quorum_state, "quorum-state"),
        (cut_the_metadata_log, f"no longer has {TOPIC}"),
    ],
)
def test_damage_that_only_kafka_can_see_is_named_and_no_record_is_given_up(
    tmp_path: Path, used_directory: Path, damage: Callable[[Path], None], named: str
) -> None:
    shutil.copytree(used_directory, tmp_path / "kafka")
    damage(tmp_path / "kafka" / "data")
    broker = LocalKafka(tmp_path / "kafka")
    with pytest.raises(DataDirectoryDamaged) as failure:
        broker.start()
    assert named in str(failure.value)
    assert "\n" not in str(failure.value)
    [log] = (tmp_path / "kafka" / "data").glob(f"{TOPIC}-0*/00000000000000000000.log")
    assert b"precious" in log.read_bytes()
    with pytest.raises(DataDirectoryDamaged):
        broker.start()


# -- The foreground runner, as a process of its own

RUN = (
    "import sys, pathlib; from streams.kafka import run_foreground; run_foreground(pathlib.Path(sys.argv[1]))"
)


def start_foreground(data_dir: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(data_dir)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "KAFKA_BOOTSTRAP_SERVERS=" in line, process.communicate(timeout=30)[1]
    return process, line.rstrip().partition("KAFKA_BOOTSTRAP_SERVERS=")[2]


def broker_of(process: subprocess.Popen[str]) -> int:
    """The Java process: child of the guardian, which is the child of our process."""
    guardian = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(guardian) == 1
    return int(Path(f"/proc/{guardian[0]}/task/{guardian[0]}/children").read_text())


def accepts_connections(bootstrap: str) -> bool:
    host, _, port = bootstrap.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_runner_prints_its_address_and_stops_cleanly_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    process, bootstrap = start_foreground(tmp_path / "kafka")
    java = broker_of(process)
    assert accepts_connections(bootstrap)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Kafka is stopped." in output
    assert "Traceback" not in errors
    assert not is_running(java)
    assert (tmp_path / "kafka" / "data" / ".kafka_cleanshutdown").exists()


def test_the_broker_dies_with_a_killed_starter_and_its_directory_can_be_used_at_once(tmp_path: Path) -> None:
    process, _ = start_foreground(tmp_path / "kafka")
    java = broker_of(process)
    process.kill()
    process.communicate(timeout=30)
    with LocalKafka(tmp_path / "kafka") as successor:
        assert successor.pid != java
        assert not is_running(java)
    wait_until_gone(java)


def test_a_port_that_is_taken_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)) as failure:
            LocalKafka(tmp_path / "kafka", port).start()
    assert failure.value.port == port
    assert not (tmp_path / "kafka" / "kafka.log").exists()
