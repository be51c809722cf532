"""How programs end: told to by a signal, before and after the start, alone and beside other work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from tests.integration.sdk.peer import Peer

AGENT = """
import asyncio
from coordinator import Agent

agent = Agent("a1")

@agent.task
async def work(directive):
    print("working", flush=True)
    await asyncio.sleep(directive.payload)
    return "done"
"""
ALONE = AGENT + "asyncio.run(agent.run())"
TWO_TOGETHER = f"""{AGENT}
async def main():
    await asyncio.gather(agent.run(), Agent("a2").run(work))

asyncio.run(main())
"""
BESIDE_OTHERS = f"""{AGENT}
async def main():
    await asyncio.gather(agent.run(), asyncio.sleep(3600))

asyncio.run(main())
"""
WITH_AN_EPILOGUE = f"""{AGENT}
async def main():
    await agent.run()
    await asyncio.sleep(0.3)
    print("epilogue")

asyncio.run(main())
"""
OWN_HANDLER = f"""{AGENT}
import signal

def decided(number, frame):
    print("decided", flush=True)
    main.cancel()

async def start():
    global main
    main = asyncio.current_task()
    await agent.run()

signal.signal(signal.SIGINT, decided)
try:
    asyncio.run(start())
except asyncio.CancelledError:
    print("cancelled")
"""
STEP_BY_STEP = """
import asyncio
from coordinator import Agent

async def main():
    async with Agent("a1") as agent:
        async for directive in agent.directives():
            await directive.accept()
            print("working", flush=True)
            await asyncio.sleep(directive.payload)
            await directive.complete("done")

asyncio.run(main())
"""
SYNC = """
import time
from coordinator.sync import Agent

agent = Agent("a1")

@agent.task
def work(directive):
    print("working", flush=True)
    time.sleep(directive.payload)
    return "done"

agent.run()
print("epilogue")
"""
EXITS = """
import asyncio, sys
from coordinator import Agent

agent = Agent("a1", slots=2)

@agent.task
async def work(directive):
    if directive.payload == "exit":
        sys.exit(3)
    print("working", flush=True)
    await asyncio.sleep(directive.payload)

async def main():
    await agent.run()

asyncio.run(main())
"""
EXITS_BESIDE = EXITS.replace("await agent.run()", "await asyncio.gather(agent.run(), asyncio.sleep(60))")
EXITS_SYNC = """
import sys, time
from coordinator.sync import Agent

agent = Agent("a1", slots=2)

@agent.task
def work(directive):
    if directive.payload == "exit":
        sys.exit(3)
    print("working", flush=True)
    time.sleep(directive.payload)

agent.run()
"""
QUIET = """
import logging
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
print("ready", flush=True)
"""
SYNC_STEP_BY_STEP = """
import time
from coordinator.sync import Agent

with Agent("a1") as agent:
    for directive in agent.directives():
        directive.accept()
        print("working", flush=True)
        time.sleep(directive.payload)
        directive.complete("done")
"""


@dataclass
class Program:
    """A program in a process of its own."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().strip()

    async def end(self, seconds: float = 15) -> tuple[int | None, str]:
        """Its exit status and what it printed last."""
        output, _ = await asyncio.wait_for(self.process.communicate(), seconds)
        return self.process.returncode, output.decode()


@dataclass
class Programs:
    """Start programs; those that still run at the end of the test are killed."""

    environment: dict[str, str]
    started: list[Program] = field(default_factory=list)

    async def start(self, text: str) -> Program:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", text),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self.started.append(Program(process))
        return self.started[-1]


@pytest.fixture
async def programs(kafka: str, topic_prefix: str) -> AsyncIterator[Programs]:
    places = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "COORDINATOR_TOPIC_PREFIX": topic_prefix}
    programs = Programs({**os.environ, **places})
    yield programs
    for program in programs.started:
        if program.process.returncode is None:
            program.process.kill()
        await program.process.wait()


Working = Callable[[str, float], Awaitable[tuple[Program, str]]]


@pytest.fixture
def working(peer: Peer, programs: Programs) -> Working:
    """Start a program and give its agent a task for so many seconds; returns when it works on it."""

    async def working(text: str, seconds: float) -> tuple[Program, str]:
        program = await programs.start(text)
        await peer.hear(lambda event: event["type"] == "agent_registered", seconds=20)
        directive = await peer.assign("a1", "t1", payload=seconds)
        assert await program.line() == "working"
        return program, directive["directive_id"]

    return working


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (ALONE, ""),
        (TWO_TOGETHER, ""),
        (WITH_AN_EPILOGUE, "epilogue\n"),
        (STEP_BY_STEP, ""),
        (SYNC, "epilogue\n"),
        (SYNC_STEP_BY_STEP, ""),
    ],
    ids=["alone", "two", "epilogue", "step-by-step", "sync", "sync-step-by-step"],
)
async def test_a_program_told_to_end_finishes_its_work_and_ends_quietly(
    peer: Peer, working: Working, text: str, printed: str, sent: signal.Signals
) -> None:
    program, directive_id = await working(text, 0.5)
    program.process.send_signal(sent)
    await peer.answers(directive_id, "accepted", "completed")
    await peer.hear(lambda event: event["type"] == "agent_deregistered" and event["agent_id"] == "a1")
    assert await program.end() == (0, printed)


async def test_ctrl_c_that_an_orchestrator_follows_up_with_sigterm_is_one_wish(
    peer: Peer, working: Working
) -> None:
    program, directive_id = await working(ALONE, 0.5)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        program.process.send_signal(number)
        await asyncio.sleep(0.05)
    await peer.answers(directive_id, "accepted", "completed")
    assert await program.end() == (0, "")


async def test_a_second_ctrl_c_waits_for_no_work(peer: Peer, working: Working) -> None:
    program, directive_id = await working(ALONE, 60)
    program.process.send_signal(signal.SIGINT)
    await peer.hear(lambda event: event.get("status") == "draining")
    program.process.send_signal(signal.SIGINT)
    status, printed = await program.end(5)
    assert status == -signal.SIGINT
    assert printed.strip().endswith("KeyboardInterrupt")
    (_, failed) = await peer.answers(directive_id, "accepted", "failed")
    assert failed["reason"] == "agent_stopped"
    await peer.hear(lambda event: event["type"] == "agent_deregistered")


async def test_what_else_a_program_does_is_cancelled_when_its_agents_have_stopped(
    peer: Peer, working: Working
) -> None:
    program, directive_id = await working(BESIDE_OTHERS, 0.5)
    program.process.send_signal(signal.SIGTERM)
    await peer.answers(directive_id, "accepted", "completed")
    _, printed = await program.end()
    assert printed.strip().endswith("KeyboardInterrupt")


async def test_a_programs_own_signal_handler_stays_in_charge(peer: Peer, working: Working) -> None:
    program, directive_id = await working(OWN_HANDLER, 0.5)
    program.process.send_signal(signal.SIGINT)
    await peer.answers(directive_id, "accepted", "completed")
    assert await program.end() == (0, "decided\ncancelled\n")


@pytest.mark.parametrize("text", [EXITS, EXITS_SYNC, EXITS_BESIDE], ids=["async", "sync", "gathered"])
async def test_a_handler_that_exits_fails_its_task_and_ends_the_program_with_its_status(
    peer: Peer, programs: Programs, text: str
) -> None:
    program = await programs.start(text)
    await peer.hear(lambda event: event["type"] == "agent_registered", seconds=20)
    other = await peer.assign("a1", "t1", payload=0.5)
    assert await program.line() == "working"
    directive = await peer.assign("a1", "t2", payload="exit")
    (_, failed) = await peer.answers(directive["directive_id"], "accepted", "failed")
    assert failed["reason"] == "the handler ended the program: SystemExit(3)"
    await peer.answers(other["directive_id"], "accepted", "completed")
    await peer.hear(lambda event: event["type"] == "agent_deregistered")
    status, printed = await program.end(5)
    assert status == 3
    assert printed.startswith(
        f"directive {directive['directive_id']}: its handler ends the program with SystemExit(3)\n"
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("text", [ALONE, SYNC], ids=["async", "sync"])
async def test_an_agent_that_still_looks_for_its_broker_ends_quietly_when_told_to(
    programs: Programs, text: str, sent: signal.Signals
) -> None:
    programs.environment["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    program = await programs.start(QUIET + text)
    assert await program.line() == "ready"
    await asyncio.sleep(1.5)
    program.process.send_signal(sent)
    status, printed = await program.end(5)
    assert (status, printed.removesuffix("epilogue\n")) == (0, "")
