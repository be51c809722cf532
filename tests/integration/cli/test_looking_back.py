"""Replays and verifications on a real Kafka, as people run them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
from aiokafka import AIOKafkaProducer

from models.fleet import FleetFold
from streams.offsets import BEGINNING
from streams.reader import Stored, TopicReader
from streams.topics import Layout, Partitions, create
from tests.unit.models.fleet.log import FleetLog

OUTPUTS = ("directives", "results", "alerts")


def run(kafka: str, prefix: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli.main", *arguments, "-b", kafka, "--prefix", prefix]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=directory, check=False)


async def read(kafka: str, prefix: str, topic: str) -> list[Stored]:
    async with TopicReader(kafka, prefix) as reader:
        return [record async for record in reader.records(topic, BEGINNING)]


async def recorded(kafka: str, prefix: str) -> list[Stored]:
    """A fleet log on Kafka, without events; what stands there."""
    log = FleetLog()
    log.agent("a1", slots=4)
    for number in range(5):
        log.answer(log.run(f"t{number}"), "completed" if number % 2 else "failed", result=number)
    log.fact("task_cancelled", task_id="nobody")
    log.wait(3_000)
    await create(kafka, Layout(prefix, prefix.rstrip("."), Partitions(events=1, fleet=1, directives=3)))
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for record in log.log:
        await producer.send_and_wait(f"{prefix}fleet", record.value, key=b"default", partition=0)
    await producer.stop()
    return await read(kafka, prefix, "fleet")


async def test_a_replay_into_other_topics_gives_the_same_bytes(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = await recorded(kafka, topic_prefix)
    expected = FleetFold(0, 1, f"{topic_prefix}fleet").fold(log)
    again = f"{topic_prefix}again."
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "replay", "--into", again)
    assert told.returncode == 0, told.stderr
    assert "outputs appended" in told.stderr
    for topic in OUTPUTS:
        found = await read(kafka, again, topic)
        wanted = [(one.key, one.value, tuple(one.headers)) for one in expected if one.topic == topic]
        assert wanted
        assert sorted((one.key, one.value, tuple(one.headers)) for one in found) == sorted(wanted)
        assert await read(kafka, topic_prefix, topic) == [], "the history itself is as it was"
    twice = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "replay", "--into", again)
    assert twice.returncode == 2
    assert "has records already" in twice.stderr


async def test_a_replay_can_be_piped_from_anywhere_to_anywhere(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = await recorded(kafka, topic_prefix)
    command = ("replay", "--from", "5", "--to", "-3", "--json")
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, *command)
    assert told.returncode == 0, told.stderr
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["offset"] for line in lines] == [record.offset for record in log][5:-3]
    fold = FleetFold(0, 1, f"{topic_prefix}fleet")
    fold.fold(log[:5])
    brought = [len(fold.fold([record])) for record in log[5:-3]]
    assert [len(line["brings"]) for line in lines] == brought
    assert sum(brought) > 3


async def test_a_directive_that_was_never_given_has_no_cause(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    await recorded(kafka, topic_prefix)
    for name in ("default.2.7", "default.99999.0"):
        told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "explain", "directive", name)
        assert told.returncode == 1
        assert f"no directive '{name}' was ever given" in told.stderr


async def test_what_nobody_said_is_found(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """The fleet log has facts, and the events from which they should stem are none."""
    await recorded(kafka, topic_prefix)
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "verify", "--json")
    assert told.returncode == 1, told.stderr
    report = json.loads(told.stdout)
    assert not report["verified"]
    assert {(one["check"], one["reason"]) for one in report["findings"]} >= {("facts", "added")}
    shown = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "verify")
    assert "not verified" in shown.stdout


async def test_another_policy_is_tried_on_what_stands_in_the_topics(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    await recorded(kafka, topic_prefix)
    (tmp_path / "policy.json").write_text('{"planning": {"quotas": {"x": {"slots": 0}}}}')
    for more in ((), ("--closed-loop",)):
        command = ("backtest", "--policy", "policy.json", "--json", *more)
        told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, *command)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["at"]["topic"] == f"{topic_prefix}fleet"


async def test_an_archive_stands_for_the_topics(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    log = await recorded(kafka, topic_prefix)
    told = await asyncio.to_thread(
        run, kafka, topic_prefix, tmp_path, "replay", "--into", f"{topic_prefix}again."
    )
    assert told.returncode == 0, told.stderr
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "export", "all", "--json")
    assert told.returncode == 0, told.stderr
    manifest = json.loads(told.stdout)
    (fleet,) = manifest["topics"]["fleet"]
    assert (fleet["records"], manifest["prefix"]) == (len(log), topic_prefix)
    assert f"{topic_prefix}fleet/0@{fleet['end']}" in manifest["ends"]
    for command in (
        ("state", "task", "t3", "--json"),
        ("story", "task", "t3", "--json"),
        ("verify", "--json"),
    ):
        from_topics = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, *command)
        nowhere = "127.0.0.1:1"
        from_archive = await asyncio.to_thread(
            run, nowhere, topic_prefix, tmp_path, *command, "--archive", "all"
        )
        answers = [json.loads(told.stdout) for told in (from_topics, from_archive)]
        assert [answer.pop("rate", None) is None for answer in answers] == [command[0] != "verify"] * 2
        assert answers[0] == answers[1]
        assert from_archive.returncode == from_topics.returncode
    again = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "export", "all")
    assert again.returncode == 2
    assert "holds something already" in again.stderr


async def test_the_query_of_the_documentation_runs(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    await recorded(kafka, topic_prefix)
    again = f"{topic_prefix}again."
    for command in (("replay", "--into", again), ("export", "november")):
        told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, *command)
        assert told.returncode == 0, told.stderr
    told = await asyncio.to_thread(run, kafka, again, tmp_path, "export", "outputs")
    assert told.returncode == 0, told.stderr
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    (query,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    query = query.replace("november/directives", "outputs/directives")
    for archive in ("november", "outputs"):
        query = query.replace(f"'{archive}", f"'{tmp_path}/{archive}")
    rows = duckdb.sql(query)
    assert [row[:2] for row in rows.fetchall()] == [("a1", 5)]


async def test_a_snapshot_is_where_the_next_command_begins(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    log = await recorded(kafka, topic_prefix)
    (tmp_path / "coordinator.toml").write_text("snapshot_interval = 10\n")
    command = ("state", "--at", "now", "--json")
    told = [await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, *command) for _ in range(2)]
    assert told[0].stdout == told[1].stdout != ""
    assert f"{len(log)} records" in told[0].stderr
    assert f"{len(log)} records" not in told[1].stderr
    assert list((tmp_path / ".coordinator" / "snapshots").rglob("*.snapshot"))


async def test_a_history_is_followed_until_ctrl_c(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    log = await recorded(kafka, topic_prefix)
    command = [sys.executable, "-m", "streams.cli.main", "verify", "--follow", "--json", "-b", kafka]
    following = await asyncio.create_subprocess_exec(
        *command, "--prefix", topic_prefix, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert following.stdout is not None
    assert following.stderr is not None
    assert b"up to" in await asyncio.wait_for(following.stderr.readline(), 30)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await producer.send_and_wait(f"{topic_prefix}fleet", b"no JSON", key=b"default", partition=0)
    await producer.stop()
    await asyncio.sleep(3)  # a look at what has come
    following.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(following.communicate(), 30)
    *findings, report = map(json.loads, out.splitlines())
    assert following.returncode == 1
    assert report["accounting"][f"{topic_prefix}fleet/0"]["records"] == len(log) + 1
    assert findings == report["findings"]
    assert report["rate"]["records"] == len(log) + 1
    assert len(report["verified_with"]["code"]) == 64


async def test_everything_that_is_kept_is_looked_at(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    """The facts stem from events that are not there: as if that topic had been deleted and created anew."""
    await recorded(kafka, topic_prefix)
    told = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "fsck", "--json")
    assert told.returncode == 1, told.stderr
    found = json.loads(told.stdout)
    assert {one["kind"] for one in found} >= {"topic", "log", "changelog"}
    wrong = [one for one in found if one["status"] == "bad" and one["kind"] != "topic"]
    assert [one["name"] for one in wrong] == [f"{topic_prefix}fleet/0"]
    assert f"{topic_prefix}events/0, which ends at 0" in wrong[0]["says"]
    shown = await asyncio.to_thread(run, kafka, topic_prefix, tmp_path, "fsck")
    assert "was created anew" in shown.stdout
