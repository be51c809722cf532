"""The programs that the documentation shows are run as they stand there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.integration.sdk.peer import Peer

SNIPPETS = Path(__file__).parents[3] / "docs" / "snippets"

Start = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(kafka: str, peer: Peer, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a snippet as a user would: in a directory of one's own, with the broker in the environment."""
    started: list[asyncio.subprocess.Process] = []
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "COORDINATOR_TOPIC_PREFIX": peer.prefix,
        "PYTHONPATH": str(SNIPPETS.parents[1]),
    }

    async def start(name: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", SNIPPETS / name),
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("name", "agent_id", "payload", "result", "sent"),
    [
        ("agent.py", "summarizer-1", "x" * 50, {"summary": "x" * 40, "attempt": 1}, signal.SIGTERM),
        ("agent.py", "summarizer-1", "x", {"summary": "x", "attempt": 1}, signal.SIGINT),
        ("agent_step_by_step.py", "careful-1", "four", {"length": 4}, signal.SIGINT),
        ("agent_step_by_step.py", "careful-1", "four", {"length": 4}, signal.SIGTERM),
        ("agent_sync.py", "counter-1", "one two three", {"words": 3}, signal.SIGINT),
        ("agent_sync.py", "counter-1", "one two", {"words": 2}, signal.SIGTERM),
    ],
)
async def test_an_agent_of_the_documentation_says_goodbye_and_ends_quietly_when_told_to(
    peer: Peer, start: Start, name: str, agent_id: str, payload: str, result: object, sent: signal.Signals
) -> None:
    process = await start(name)
    (registered,) = await peer.hear(lambda event: event["type"] == "agent_registered", seconds=20)
    assert (registered["agent_id"], registered["capabilities"]) == (agent_id, ["summarize"])
    directive = await peer.assign(agent_id, "t1", payload=payload)
    (_, completed) = await peer.answers(directive["directive_id"], "accepted", "completed")
    assert completed["result"] == result
    process.send_signal(sent)
    await peer.hear(lambda event: event["type"] == "agent_deregistered")
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert (output.decode(), process.returncode) == ("", 0)


async def test_the_submitters_of_the_documentation_print_their_results(peer: Peer, start: Start) -> None:
    both = [await start("submit.py"), await start("submit_sync.py")]
    answered: set[str] = set()
    while len(answered) < 12:
        for event in await peer.hear(
            lambda event: event["type"] == "task_submitted" and event["task_id"] not in answered, seconds=20
        ):
            answered.add(event["task_id"])
            await peer.result("task_completed", event["task_id"], result={"summary": event["payload"]})
    (first, _), (second, _) = await asyncio.gather(*(process.communicate() for process in both))
    assert [process.returncode for process in both] == [0, 0]
    assert "{'summary': 'It was a dark and stormy night.'}" in first.decode()
    counted = [line.split(" of ")[0] for line in first.decode().splitlines() if " of 10 " in line]
    assert counted == [str(number) for number in range(1, 11)]
    assert second.decode() == "{'summary': 'It was a dark and stormy night.'}\n"
