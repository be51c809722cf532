"""The commands as people run them: real processes on a real Kafka, their output and exit statuses."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.kafka import LocalKafka
from streams.topics import Layout, create

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(kafka: str, topic_prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs ``coordinator …`` in an empty directory, against the test's own topics."""
    directory = tmp_path_factory.mktemp("cwd")

    def run_one(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments, "-b", kafka, "--prefix", topic_prefix],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=directory,
            check=False,
        )

    return run_one


@pytest.fixture
def created(run: Run, kafka: str, topic_prefix: str) -> Run:
    """The same, with the topics there."""
    asyncio.run(create(kafka, Layout(topic_prefix, topic_prefix.rstrip("."))))
    return run


def test_topics_are_missing_then_created_then_fit(run: Run, topic_prefix: str) -> None:
    missing = run("topics", "check", "--json")
    assert missing.returncode == 1
    assert not json.loads(missing.stdout)["ok"]
    told = run("topics", "check").stdout
    assert told.count("does not exist") == 9
    assert told.count("coordinator topics create -b") == told.count(f"--prefix {topic_prefix}") == 1
    created = json.loads(run("topics", "create", "--json").stdout)
    assert f"{topic_prefix}events" in created["created"]
    assert json.loads(run("topics", "create", "--json").stdout)["created"] == []
    fit = run("topics", "check")
    assert fit.returncode == 0
    assert f"✓ {topic_prefix}events" in fit.stdout


def test_what_is_submitted_and_cancelled_stands_in_the_events(created: Run) -> None:
    assert created("submit", "t1", "--requires", "write", "--payload", '{"n":1}').stdout == "t1\n"
    lines = created("submit", "-", "--json", stdin='{"payload":1}\n{"task_id":"t3","priority":9}\n')
    assert [json.loads(line)["task_id"] for line in lines.stdout.splitlines()][1] == "t3"
    assert created("cancel", "t1", "--reason", "changed my mind").returncode == 0
    shown = created("tail", "events", "-o", "beginning", "-k", "t1", "--json")
    first, second = [json.loads(line) for line in shown.stdout.splitlines()]
    assert first["key"] == "t1"
    assert first["value"]["requires"] == {"capabilities": ["write"]}
    assert first["value"]["payload"] == {"n": 1}
    assert (second["value"]["type"], second["value"]["reason"]) == ("task_cancelled", "changed my mind")


def test_an_old_result_is_none_before_the_coordinator_has_looked_at_the_task(
    created: Run, kafka: str, topic_prefix: str
) -> None:
    result = {
        "type": "task_completed",
        "task_id": "old",
        "fleet": "default",
        "result": 1,
        "reason": None,
        "attempt": 1,
        "epoch": 1,
        "agent_id": "a1",
        "time": 1.0,
        "cause": {"offset": 7, "events": []},
    }
    asyncio.run(append(kafka, f"{topic_prefix}results", "old", result))
    waited = created("submit", "old", "--wait", "--timeout", "5")
    assert (waited.returncode, waited.stdout) == (1, "")
    waiting, error = waited.stderr.splitlines()
    assert waiting == "waiting for the coordinator to take up old; is a worker running?"
    assert error.startswith("error: no result of 1 task within 5 s: old")


async def append(kafka: str, topic: str, key: str, value: object) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(topic, json.dumps(value).encode(), key=key.encode())


def test_a_faulty_task_is_refused_before_anything_is_sent(created: Run) -> None:
    refused = created("submit", "-", stdin='{"task_id":"good"}\n{"priority":99}\n')
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: line 2: priority")
    assert refused.stderr.endswith("; nothing was submitted\n")
    assert created("tail", "events", "-o", "beginning", "--json").stdout == ""


def test_tail_ends_after_a_count_and_at_the_end(created: Run) -> None:
    created("submit", "-", stdin="{}\n" * 5)
    assert len(created("tail", "events", "-o", "beginning", "-c", "3").stdout.splitlines()) == 3
    assert len(created("tail", "events").stdout.splitlines()) == 5
    assert "nothing to show" in created("tail", "results").stderr


@pytest.mark.parametrize("options", ["--json", ""])
def test_a_reader_that_has_seen_enough_is_no_failure(
    created: Run, kafka: str, topic_prefix: str, options: str
) -> None:
    created("submit", "-", stdin="{}\n" * 3000)
    command = f"{sys.executable} -m streams.cli.main tail events -o beginning {options}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} -b {kafka} --prefix {topic_prefix} | head -1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


def test_without_a_worker_the_state_is_folded_from_the_topics_and_says_so(
    created: Run, topic_prefix: str
) -> None:
    answer = created("agents", "--json")
    assert answer.returncode == 0
    told = json.loads(answer.stdout)
    where = told.pop("at")
    assert told == {"fleet": "default", "agents": []}
    assert (where["topic"], where["partition"], where["offset"]) == (f"{topic_prefix}fleet", 0, 0)
    assert where["cut"].endswith(f":{topic_prefix}fleet/0@0")
    assert f"folded from {topic_prefix}fleet" in answer.stderr
    unknown = created("explain", "task", "nobody")
    assert unknown.returncode == 1
    assert "has no task 'nobody'" in unknown.stderr


def test_a_fleet_as_it_was_and_what_became_different(created: Run) -> None:
    nothing = created("state", "--at", "beginning", "--json")
    assert json.loads(nothing.stdout)["agents"]["registered"] == 0
    assert created("diff", "beginning").returncode == 0
    one = created("state", "task", "t1", "--at", "now")
    assert one.returncode == 1
    assert "has no task 't1'" in one.stderr
    created("submit", "t1")
    nobody = created("story", "task", "t1")  # no worker runs: it is not in the fleet log
    assert nobody.returncode == 1
    assert "nothing was ever said of the task 't1'" in nobody.stderr
    checked = created("verify", "--json")
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["verified"]
    assert json.loads(checked.stdout)["ahead"]["events"] == 1, "which nobody has folded"


def test_a_division_of_resources_is_proposed_and_asked_for(created: Run) -> None:
    created("submit", "t1", "--spread", "g,by=zone,most=1")
    nothing = created("resources", "--apply", "--json")
    assert nothing.returncode == 0, nothing.stderr
    answer = json.loads(nothing.stdout)
    assert (answer["pools"], answer["patch"], answer["applied"]) == ({}, None, False)
    shown = created("resources")
    assert "resource" in shown.stdout
    shown = created("tail", "events", "-o", "beginning", "--json")
    assert json.loads(shown.stdout.splitlines()[0])["value"]["spread"] == {
        "group": "g",
        "by": "zone",
        "most": 1,
    }


def test_missing_topics_and_a_missing_broker_have_statuses_of_their_own(
    run: Run, kafka: str, topic_prefix: str
) -> None:
    missing = run("tail", "events")
    assert missing.returncode == 1
    assert f"coordinator topics create -b {kafka} --prefix {topic_prefix}" in missing.stderr
    missing = run("submit", "t1")
    assert f"coordinator topics create -b {kafka} --prefix {topic_prefix}" in missing.stderr
    nobody = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", "agents", "-b", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert nobody.returncode == 4
    assert nobody.stderr.startswith("error: no Kafka answers at 127.0.0.1:1;")


@pytest.mark.parametrize(
    "command", [["submit", "t1"], ["cancel", "t1"], ["topics", "check"], ["tail", "events"]]
)
def test_a_wait_for_a_broker_that_says_nothing_is_told_with_its_address(command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        address = f"127.0.0.1:{frozen.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *command, "-b", address],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 4
    waiting, error = done.stderr.splitlines()
    assert waiting == f"waiting for Kafka at {address} …"
    assert error.startswith(f"error: no Kafka answers at {address}")


def test_a_following_tail_says_when_kafka_goes_and_when_it_is_back(tmp_path: Path) -> None:
    with LocalKafka(tmp_path / "kafka") as broker:
        address = broker.bootstrap
        asyncio.run(create(address, Layout()))
        arguments = ["tail", "events", "-f", "--json", "-b", address, "--prefix", "coordinator."]
        with subprocess.Popen(
            [sys.executable, "-m", "streams.cli.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as tail:
            assert tail.stdout is not None
            assert tail.stderr is not None
            submit = [sys.executable, "-m", "streams.cli.main", "submit", "-b", address]
            try:
                subprocess.run([*submit, "before"], check=True, timeout=60, stdout=subprocess.DEVNULL)
                assert json.loads(tail.stdout.readline())["key"] == "before"
                broker.kill()
                assert (
                    tail.stderr.readline()
                    == f"Kafka at {address} does not answer; trying again until it does\n"
                )
                broker.start()
                assert tail.stderr.readline() == f"Kafka at {address} answers again\n"
                subprocess.run([*submit, "after"], check=True, timeout=60, stdout=subprocess.DEVNULL)
                assert json.loads(tail.stdout.readline())["key"] == "after"
            finally:
                tail.kill()


def test_ctrl_c_ends_a_following_tail_with_130_and_without_a_word(
    created: Run, kafka: str, topic_prefix: str
) -> None:
    created("submit", "t1")
    arguments = ["tail", "events", "-o", "beginning", "-f", "--json", "-b", kafka, "--prefix", topic_prefix]
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        try:
            assert json.loads(tail.stdout.readline())["key"] == "t1"
            time.sleep(0.2)
            tail.send_signal(signal.SIGINT)
            assert tail.wait(20) == 130
            assert tail.stderr.read() == ""
        finally:
            tail.kill()
