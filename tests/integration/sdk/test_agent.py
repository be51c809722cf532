"""An agent on the real Kafka; the peer plays the coordinator."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from pathlib import Path

import pytest

from coordinator import Agent, Connection, Directive, DirectiveEnded, NotRunning, StateInUse, TopicMissing
from tests.integration.sdk.peer import Peer, running


async def test_an_agent_registers_beats_reports_and_says_goodbye(peer: Peer, connection: Connection) -> None:
    agent = Agent(
        "a1",
        capabilities=["sum"],
        slots=2,
        resources={"memory": 4},
        zone="z1",
        labels={"tier": "gold"},
        version="1.0",
        heartbeat_interval=0.1,
        only_capabilities=["sum"],
        only_tenants=["acme"],
        connection=connection,
    )
    async with agent:
        await agent.report({"latency": 0.25})
        await agent.report_resources({"memory": (4, 1)})
        await agent.update(capabilities=["sum", "sort"], slots=3)
        await peer.hear(lambda event: event["type"] == "status_update", count=4)
    heard = await peer.hear(lambda event: event["type"] == "agent_deregistered")

    events = peer.events
    assert events[0]["type"] == "agent_registered"
    assert (
        events[0]
        | {
            "capabilities": ["sum"],
            "slots": 2,
            "resources": {"memory": 4},
            "zone": "z1",
            "labels": {"tier": "gold"},
            "version": "1.0",
            "heartbeat_interval": 0.1,
            "only": {"capabilities": ["sum"], "tenants": ["acme"]},
        }
        == events[0]
    )
    assert {event["_key"] for event in events} == {"a1"}
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert len({event["incarnation"] for event in events}) == 1
    beats = [event for event in events if event["type"] == "status_update"]
    assert beats[-1]["status"] == "idle"
    assert beats[-1]["current_load"] == 0
    assert any(event.get("slots") == 3 and event.get("capabilities") == ["sum", "sort"] for event in beats)
    assert heard == events[-1:]


async def test_a_handler_answers_with_what_it_returns_and_what_it_raises(
    peer: Peer, connection: Connection
) -> None:
    agent = Agent("a1", slots=4, connection=connection)

    @agent.task
    async def work(directive: Directive) -> object:
        if directive.payload == "bad":
            raise RuntimeError("no such thing")
        if directive.payload == "unsendable":
            return {1, 2}
        await directive.progress(0.5)
        return {"echo": directive.payload}

    async with running(agent, peer):
        good = await peer.assign("a1", "t1", payload="good")
        bad = await peer.assign("a1", "t2", payload="bad")
        unsendable = await peer.assign("a1", "t3", payload="unsendable")
        (accepted, completed) = await peer.answers(good["directive_id"], "accepted", "completed")
        (_, failed) = await peer.answers(bad["directive_id"], "accepted", "failed")
        (_, refused) = await peer.answers(unsendable["directive_id"], "accepted", "failed")
    assert completed["result"] == {"echo": "good"}
    assert completed["epoch"] == accepted["epoch"] == 1
    assert failed["reason"] == "RuntimeError: no such thing"
    assert "result" in refused["reason"]
    assert [event["progress"] for event in peer.events if event.get("outcome") == "progress"] == [0.5]


async def test_fifty_agents_share_one_connection_and_each_gets_its_own_work(
    peer: Peer, connection: Connection
) -> None:
    done: defaultdict[str, list[object]] = defaultdict(list)

    async def work(directive: Directive) -> None:
        done[directive.agent_id].append(directive.task_id)

    agents = [Agent(f"a{number}", connection=connection) for number in range(50)]
    runs = [asyncio.create_task(agent.run(work)) for agent in agents]
    await peer.hear(lambda event: event["type"] == "agent_registered", count=50)
    for agent in agents:
        await peer.assign(agent.agent_id, f"task-of-{agent.agent_id}")
    await peer.hear(lambda event: event.get("outcome") == "completed", count=50)
    await asyncio.gather(*(agent.stop() for agent in agents))
    await asyncio.gather(*runs)
    assert done == {agent.agent_id: [f"task-of-{agent.agent_id}"] for agent in agents}


async def test_no_more_handlers_run_at_once_than_there_are_slots(peer: Peer, connection: Connection) -> None:
    running_now, most = 0, 0
    agent = Agent("a1", slots=2, connection=connection)

    @agent.task
    async def work(_: Directive) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.02)
        running_now -= 1

    async with running(agent, peer):
        for number in range(6):
            await peer.assign("a1", f"t{number}")
        await peer.hear(lambda event: event.get("outcome") == "completed", count=6)
    assert most == 2


async def test_a_repeated_directive_is_executed_once_and_answered_again(
    peer: Peer, connection: Connection
) -> None:
    executions = 0
    agent = Agent("a1", connection=connection)

    @agent.task
    async def work(_: Directive) -> str:
        nonlocal executions
        executions += 1
        return "once"

    async with running(agent, peer):
        directive = await peer.assign("a1", "t1")
        await peer.answers(directive["directive_id"], "accepted", "completed")
        await peer.repeat(directive)
        answers = await peer.answers(directive["directive_id"], "accepted", "completed", "completed")
    assert executions == 1
    assert answers[-1]["result"] == "once"


async def test_an_older_epoch_is_refused(peer: Peer, connection: Connection) -> None:
    agent = Agent("a1", connection=connection)
    agent.task(return_epoch)
    async with running(agent, peer):
        newer = await peer.assign("a1", "t1", epoch=2)
        older = await peer.assign("a1", "t1", epoch=1)
        await peer.answers(newer["directive_id"], "accepted", "completed")
        (refusal,) = await peer.answers(older["directive_id"], "rejected")
    assert refusal["reason"] == "stale_epoch"


async def test_dedupe_fencing_and_answers_survive_a_restart(
    peer: Peer, connection: Connection, tmp_path: Path
) -> None:
    executed: list[tuple[object, int]] = []

    async def work(directive: Directive) -> str:
        executed.append((directive.task_id, directive.epoch))
        return f"done by {directive.directive_id}"

    def another_start() -> Agent:
        agent = Agent("a1", connection=connection, state_dir=tmp_path)
        agent.task(work)
        return agent

    async with running(another_start(), peer):
        first = await peer.assign("a1", "t1", epoch=3)
        await peer.answers(first["directive_id"], "accepted", "completed")
    async with running(another_start(), peer, starts=2):
        await peer.repeat(first)
        again = await peer.answers(first["directive_id"], "accepted", "completed", "completed")
        older = await peer.assign("a1", "t1", epoch=2)
        await peer.answers(older["directive_id"], "rejected")
        newer = await peer.assign("a1", "t1", epoch=4)
        await peer.answers(newer["directive_id"], "accepted", "completed")
    assert again[-1]["result"] == again[1]["result"]
    assert executed == [("t1", 3), ("t1", 4)]
    starts = [event["incarnation"] for event in peer.events if event["type"] == "agent_registered"]
    assert starts[1] > starts[0]


async def test_a_stop_while_the_agent_starts_ends_it_and_leaves_nothing_registered(
    peer: Peer, connection: Connection
) -> None:
    agent = Agent("a1", connection=connection)
    run = asyncio.create_task(agent.run(return_epoch))
    await asyncio.sleep(0)  # it has begun to start, and waits for the broker
    assert not agent.running
    await agent.stop()
    await asyncio.wait_for(run, 10)
    assert await peer.hear(lambda event: event["type"] == "agent_deregistered")


async def test_directives_of_an_earlier_incarnation_are_not_executed_after_a_restart(
    peer: Peer, connection: Connection, tmp_path: Path
) -> None:
    executed: list[object] = []

    async def work(directive: Directive) -> None:
        executed.append(directive.task_id)

    agent = Agent("a1", connection=connection, state_dir=tmp_path)
    async with running(agent, peer, work):
        pass
    await peer.assign("a1", "while-away")
    await peer.direct("drain", "a1")
    async with running(agent, peer, work, starts=2):
        later = await peer.assign("a1", "afterwards")
        await peer.answers(later["directive_id"], "accepted", "completed")
        # A drain is a state, not work: it holds however it was learned.
        assert await peer.hear(lambda event: event.get("status") == "draining")
    assert executed == ["afterwards"]


async def test_a_restart_without_state_still_rises_in_incarnation(peer: Peer, connection: Connection) -> None:
    for _ in range(3):
        async with Agent("a1", connection=connection):
            pass
    registrations = await peer.hear(lambda event: event["type"] == "agent_registered", count=3)
    numbers = [event["incarnation"] for event in registrations]
    assert numbers == sorted(set(numbers))
    assert all(number < 2**32 for number in numbers)


async def test_a_withdrawal_cancels_the_handler_and_is_answered_when_it_has_stopped(
    peer: Peer, connection: Connection
) -> None:
    story: list[str] = []
    agent = Agent("a1", stop_timeout=0, connection=connection)

    @agent.task
    async def work(_: Directive) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            story.append("stopped")
            raise

    async with running(agent, peer):
        assignment = await peer.assign("a1", "t1", epoch=1)
        await peer.answers(assignment["directive_id"], "accepted")
        withdrawal = await peer.direct("withdraw_task", "a1", task_id="t1", epoch=1, attempt=1)
        await peer.answers(withdrawal["directive_id"], "completed")
        assert story == ["stopped"]
        too_late = await peer.assign("a1", "t1", epoch=1)
        await peer.answers(too_late["directive_id"], "rejected")
        next_one = await peer.assign("a1", "t1", epoch=2)
        await peer.answers(next_one["directive_id"], "accepted")
    assert not [event for event in peer.events if event.get("outcome") == "completed" and event.get("result")]


async def test_the_run_timeout_stops_the_handler_and_says_so(peer: Peer, connection: Connection) -> None:
    agent = Agent("a1", connection=connection)

    @agent.task
    async def work(_: Directive) -> None:
        await asyncio.sleep(60)

    async with running(agent, peer):
        assignment = await peer.assign("a1", "t1", run_timeout=0.2)
        (_, failed) = await peer.answers(assignment["directive_id"], "accepted", "failed")
    assert failed["reason"] == "run_timeout"


async def test_an_expired_directive_is_ignored(peer: Peer, connection: Connection) -> None:
    agent = Agent("a1", connection=connection)
    agent.task(return_epoch)
    async with running(agent, peer):
        expired = await peer.assign("a1", "t1", expires_at=time.time() - 1)
        live = await peer.assign("a1", "t2")
        await peer.answers(live["directive_id"], "accepted", "completed")
    assert not [event for event in peer.events if event.get("directive_id") == expired["directive_id"]]


async def test_verbs_answer_one_by_one_and_an_ended_directive_raises(
    peer: Peer, connection: Connection
) -> None:
    async with Agent("a1", slots=3, connection=connection) as agent:
        arriving = agent.directives()
        completed = await peer.assign("a1", "t1")
        directive = await anext(arriving)
        await directive.accept()
        await directive.accept()
        await directive.progress(0.25, "a quarter")
        await directive.complete([1, 2])
        with pytest.raises(DirectiveEnded, match="answered"):
            await directive.fail("too late")
        await peer.answers(completed["directive_id"], "accepted", "completed")

        rejected = await peer.assign("a1", "t2")
        await (await anext(arriving)).reject("not today")
        await peer.answers(rejected["directive_id"], "rejected")

        slow = await peer.assign("a1", "t3", ack_timeout=0.05)
        directive = await anext(arriving)
        assert await directive.wait_ended() == "ack_timeout"
        with pytest.raises(DirectiveEnded, match="ack_timeout"):
            await directive.accept()
        assert not [event for event in peer.events if event.get("directive_id") == slow["directive_id"]]

        await peer.assign("a1", "t4")
        directive = await anext(arriving)
        await directive.accept()
        withdrawal = await peer.direct("withdraw_task", "a1", task_id="t4", epoch=1)
        assert await directive.wait_ended() == "withdrawn"
        await peer.answers(withdrawal["directive_id"], "completed")


async def test_drain_resume_and_throttle_change_how_the_agent_works(
    peer: Peer, connection: Connection
) -> None:
    agent = Agent("a1", slots=4, heartbeat_interval=0.05, connection=connection)
    agent.task(return_epoch)
    async with running(agent, peer):
        for type_, payload, status in (
            ("drain", None, "draining"),
            ("resume", None, "idle"),
            ("throttle", {"slots": 1}, "idle"),
        ):
            directive = await peer.direct(type_, "a1", payload=payload)
            (answer,) = await peer.answers(directive["directive_id"], "completed")
            await peer.hear(
                lambda event, answer=answer, status=status: (
                    event["seq"] > answer["seq"] and event.get("status") == status
                )
            )
        unclear = await peer.direct("throttle", "a1", payload="slower")
        await peer.answers(unclear["directive_id"], "rejected")


async def test_a_coalition_is_joined_worked_in_and_left(peer: Peer, connection: Connection) -> None:
    agent = Agent("a1", stop_timeout=0, connection=connection)

    @agent.task
    async def work(directive: Directive) -> None:
        await asyncio.sleep(60)

    coalition = {"id": "c1", "members": ["a1", "a2"], "role": "lead"}
    shared = {"task_id": "t1", "epoch": 1, "attempt": 1, "coalition": coalition}
    async with running(agent, peer):
        join = await peer.direct("join_coalition", "a1", **shared)
        await peer.answers(join["directive_id"], "accepted")
        other = {**shared, "task_id": "t2", "coalition": {**coalition, "id": "c2"}}
        full = await peer.direct("join_coalition", "a1", **other)
        (refusal,) = await peer.answers(full["directive_id"], "rejected")
        assert refusal["reason"] == "no_free_slot"
        assignment = await peer.direct("assign_task", "a1", run_timeout=60.0, **shared)
        await peer.answers(assignment["directive_id"], "accepted")
        leave = await peer.direct("leave_coalition", "a1", **shared)
        await peer.answers(leave["directive_id"], "completed")
        again = await peer.direct("join_coalition", "a1", **other)
        await peer.answers(again["directive_id"], "accepted")


async def test_stopping_finishes_running_work_and_gives_back_the_rest(
    peer: Peer, connection: Connection
) -> None:
    agent = Agent("a1", slots=2, stop_timeout=0.3, on_stop="offline", connection=connection)

    @agent.task
    async def work(directive: Directive) -> str:
        await asyncio.sleep(0.1 if directive.payload == "short" else 60)
        return "finished"

    async with running(agent, peer):
        short = await peer.assign("a1", "t1", payload="short")
        long = await peer.assign("a1", "t2", payload="long")
        await peer.answers(short["directive_id"], "accepted")
        await peer.answers(long["directive_id"], "accepted")
    await peer.answers(short["directive_id"], "accepted", "completed")
    (_, failed) = await peer.answers(long["directive_id"], "accepted", "failed")
    assert failed["reason"] == "agent_stopped"
    (last,) = await peer.hear(lambda event: event.get("status") == "offline")
    assert last == peer.events[-1]


async def test_records_that_are_no_directives_are_skipped(peer: Peer, connection: Connection) -> None:
    agent = Agent("a1", connection=connection)
    agent.task(return_epoch)
    async with running(agent, peer):
        for junk in (b"", b"not json", b"[]", b'{"type": "assign_task"}', b"\xff\xfe"):
            await peer.producer.send_and_wait(peer.prefix + "directives", junk, key=b"a1")
        unknown = await peer.direct("dance", "a1")
        directive = await peer.assign("a1", "t1", something_new={"from": "a later version"})
        await peer.answers(directive["directive_id"], "accepted", "completed")
    assert not [event for event in peer.events if event.get("directive_id") == unknown["directive_id"]]


async def test_two_processes_cannot_share_an_agents_state(
    peer: Peer, connection: Connection, tmp_path: Path
) -> None:
    async with Agent("a1", connection=connection, state_dir=tmp_path):
        with pytest.raises(StateInUse, match=r"a1\.sqlite3"):
            await Agent("a1", connection=connection, state_dir=tmp_path).start()


async def test_missing_topics_are_named(kafka: str) -> None:
    async with Connection(kafka, topic_prefix="nobody-made-these.", connect_timeout=0.5) as connection:
        agent = Agent("a1", connection=connection)
        with pytest.raises(TopicMissing, match=r"nobody-made-these\.events"):
            await agent.start()
        with pytest.raises(NotRunning):
            await agent.report({"m": 1})


async def return_epoch(directive: Directive) -> int:
    return directive.epoch
