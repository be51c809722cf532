"""What goes on while an agent runs: registering, beating, receiving, working, answering, leaving.

What to do about a delivery is decided in ``_desk.py`` (pure); here its decisions are carried out.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import Literal, TypeAlias

from coordinator._desk import ChangeMode, Desk, Execute, Halt, Instruction, Reply
from coordinator._engagement import LiveEngagement
from coordinator._reader import Record, Subscription
from coordinator._slots import Slots
from coordinator._store import StateStore
from coordinator._voice import Voice
from coordinator._wire import DIRECTIVES, EVENTS, decode_directive
from coordinator.connection import Connection
from coordinator.directive import Answer, Directive, Outcome
from coordinator.errors import CoordinatorError, DeliveryFailed, DirectiveEnded

log = logging.getLogger("coordinator")

Handler: TypeAlias = Callable[[Directive], Awaitable[object]]

HOUSEKEEPING_SECONDS = 30.0
"""How often the read position is noted and old memories are dropped."""
RETRY_SECONDS = 1.0
LAST_WORDS_SECONDS = 5.0
"""How long a stop waits for handlers to obey their cancellation, and for answers to reach the broker."""


class Life:
    """One start of an agent, to its stop."""

    voice: Voice
    desk: Desk
    cleanup: AsyncExitStack
    exit: SystemExit | KeyboardInterrupt | None = None
    """With what a handler wants the program to end."""

    def __init__(
        self,
        agent_id: str,
        fleet: str,
        slots: int,
        heartbeat_interval: float,
        connection: Connection,
        store: StateStore,
    ) -> None:
        self.agent_id = agent_id
        self.fleet = fleet
        self.connection = connection
        self.store = store
        self.stopping = asyncio.Lock()
        self.inbox: asyncio.Queue[LiveEngagement | CoordinatorError | None] = asyncio.Queue()
        self._slots = slots
        self._heartbeat_interval = heartbeat_interval
        self._running = Slots(slots)
        self._engagements: dict[str, LiveEngagement] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None
        self._heart: asyncio.Task[None] | None = None

    async def begin(self, description: Mapping[str, object]) -> None:
        """Find the place in the log, register, start to beat.

        1. Rise to a new incarnation.
        2. Note where the log of directives ends: what comes later is for this incarnation.
        3. Deliver what the last incarnation answered but perhaps did not get through.
        4. Read on from where the last incarnation was, or from that end.
        5. Register; from here on the coordinator may assign.
        """
        now = time.time()
        in_memory = self.store.path is None
        self.store.begin("memory" if in_memory else await self.connection.log_identity(), now)
        self.voice = Voice(self.connection, self.agent_id, self.fleet, self.store.incarnation)
        await self.connection.partitions(EVENTS)
        partition = await self.connection.partition_of(DIRECTIVES, self.agent_id)
        end = (await self.connection.end_offsets([partition]))[partition]
        position = self.store.position
        if position is not None and position > end:
            log.warning("%s is shorter than before, so it is another log; starting afresh", partition.topic)
            self.store.forget_log()
            position = None
        self.desk = Desk(self.store, self.agent_id, self.fleet, slots=self._slots, registered_at=end)
        self._fit_slots()
        for directive_id, answer in self.store.undelivered():
            await self.voice.respond_late(directive_id, answer)
            self.store.delivered(directive_id, answer)
        if in_memory:
            # The clock is all that tells this start from the next: let its half second pass, so that the next
            # one, however soon, gets a higher number.
            await asyncio.sleep((self.store.incarnation + 1) / 2 - time.time())
        start = end if position is None else position
        self._subscription = Subscription(
            partition, self.agent_id.encode(), start, receive=self._receive, failed=self.inbox.put_nowait
        )
        await self.connection.subscribe(self._subscription)
        await self.voice.say("agent_registered", **description)
        self._heart = self._spawn(self._beat_on(), "heart")

    def wind_down(self) -> None:
        """Take no new work, and let whoever iterates the inbox come to its end."""
        self.desk.stopping = True
        self.inbox.put_nowait(None)

    async def end(self, patience: float, on_stop: Literal["deregister", "offline"]) -> None:
        """Wind down; everything in it has a deadline. Cancelled while it waits for work, it waits no more, but it
        still says its last words.

        Args:
            patience: Seconds for running work to finish.
            on_stop: The last word.
        """
        self.desk.stopping = True
        impatience: asyncio.CancelledError | None = None
        if self._engagements and patience > 0:
            try:
                await self._let_work_finish(patience)
            except asyncio.CancelledError as cancelled:
                impatience = cancelled
        unfinished = list(self._engagements.values())
        for engagement in unfinished:
            engagement.end("agent_stopped")
        if self._heart is not None:
            self._heart.cancel()
        if runners := [each.runner for each in unfinished if each.runner is not None]:
            await asyncio.wait(runners, timeout=LAST_WORDS_SECONDS)
        for engagement in unfinished:
            outcome: Outcome = "failed" if engagement.accepted else "rejected"
            self._answer_soon(engagement.directive, Answer(outcome, reason="agent_stopped"))
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)
            for task in stuck:
                task.cancel()
        if on_stop == "deregister":
            await _attempt(self.voice.say("agent_deregistered", reason="stopped"), LAST_WORDS_SECONDS)
        else:
            await _attempt(self.voice.say("status_update", status="offline"), LAST_WORDS_SECONDS)
        self.inbox.put_nowait(None)
        if impatience is not None:
            raise impatience

    async def _let_work_finish(self, patience: float) -> None:
        await _attempt(self.beat(status="draining"), LAST_WORDS_SECONDS)
        waits = [asyncio.ensure_future(each.wait_ended()) for each in self._engagements.values()]
        if not waits:
            return
        try:
            await asyncio.wait(waits, timeout=patience)
        finally:
            for wait in waits:
                wait.cancel()

    async def leave_reader(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if self._subscription is not None:
            self.store.advance(self.connection.position(self._subscription))
            self.connection.unsubscribe(self._subscription)
        # A directive that came in during the last words may have begun a reply, and the store closes next.
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # -- receiving ------------------------------------------------------------------------------------------

    def _receive(self, record: Record) -> None:
        directive = decode_directive(record.value)
        if directive is None:
            log.warning("skipped a record that is no directive at offset %d", record.offset)
            return
        engaged = len(self._engagements)
        for instruction in self.desk.receive(record.offset, directive, now=time.time(), engaged=engaged):
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Execute(directive):
                engagement = LiveEngagement(directive, self._answer, self._close)
                self._engagements[directive.directive_id] = engagement
                self.inbox.put_nowait(engagement)
            case Reply(directive, answer):
                self._spawn(self._deliver(directive, answer), "reply")
            case Halt(directive, reply):
                halted = [each for each in self._engagements.values() if _covers(directive, each.directive)]
                for engagement in halted:
                    engagement.end("withdrawn")
                if reply:
                    self._spawn(self._answer_when_stopped(directive, halted), "withdrawal")
            case ChangeMode():
                self._fit_slots()

    def set_slots(self, slots: int) -> None:
        self._slots = self.desk.slots = slots
        self._fit_slots()

    def _fit_slots(self) -> None:
        throttle = self.desk.throttle
        self._running.limit = self._slots if throttle is None else min(throttle, self._slots)

    def _close(self, engagement: LiveEngagement) -> None:
        self._engagements.pop(engagement.directive.directive_id, None)

    # -- working --------------------------------------------------------------------------------------------

    def execute(self, handler: Handler, directive: Directive) -> None:
        """Run a handler for a directive, in a slot of its own."""
        engagement = self._engagements.get(directive.directive_id)
        if engagement is not None:
            engagement.runner = asyncio.create_task(
                self._execute(handler, directive), name=f"directive {directive.directive_id}"
            )

    async def _execute(self, handler: Handler, directive: Directive) -> None:
        async with self._running.taken():
            try:
                await directive.accept()
                result = await handler(directive)
                if directive.ended is None:
                    await directive.complete(result)
            except asyncio.CancelledError:
                if directive.ended is None:  # cancelled by its own doing, so nobody else will answer
                    await directive.fail("the handler was cancelled")
                raise
            except DirectiveEnded:
                log.info("directive %s ended before its handler", directive.directive_id)
            except (SystemExit, KeyboardInterrupt) as exit_:
                # Raised on, it would end the event loop on the spot, with this task and all others unanswered.
                log.warning(
                    "directive %s: its handler ends the program with %r", directive.directive_id, exit_
                )
                self.exit = self.exit or exit_
                self.wind_down()
                if directive.ended is None:
                    await directive.fail(f"the handler ended the program: {exit_!r}")
            except Exception as error:  # an edge: the handler is foreign code
                log.warning("directive %s failed", directive.directive_id, exc_info=True)
                if directive.ended is None:
                    await directive.fail(f"{type(error).__name__}: {error}")

    # -- answering ------------------------------------------------------------------------------------------

    async def _answer(self, directive: Directive, answer: Answer) -> None:
        # Shielded: an author's timeout around `complete` must not swallow the answer.
        await asyncio.shield(self._answer_soon(directive, answer))

    def _answer_soon(self, directive: Directive, answer: Answer) -> asyncio.Task[None]:
        if answer.outcome != "progress":
            self.desk.answered(directive, answer)
        return self._spawn(self._deliver(directive, answer), "answer")

    async def _answer_when_stopped(self, directive: Directive, halted: list[LiveEngagement]) -> None:
        """A withdrawal is answered when the work has really stopped: the answer frees the slot."""
        for engagement in halted:
            await engagement.stopped()
        answer = Answer("completed")
        self.desk.answered(directive, answer)
        await self._deliver(directive, answer)

    async def _deliver(self, directive: Directive, answer: Answer) -> None:
        while True:
            try:
                await self.voice.respond(directive, answer)
            except DeliveryFailed as error:
                log.warning("%s; trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.store.delivered(directive.directive_id, answer)
                return

    # -- beating --------------------------------------------------------------------------------------------

    async def beat(
        self, status: str | None = None, changes: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        """One sign of life, with changes to what the agent offers, if any."""
        working, slots = len(self._engagements), max(self._slots, 1)
        if status is None:
            if self.desk.draining or self.desk.stopping:
                status = "draining"
            else:
                status = "busy" if working >= slots else "active" if working else "idle"
        await self.voice.say("status_update", status=status, current_load=working / slots, **changes)

    async def _beat_on(self) -> None:
        loop = asyncio.get_running_loop()
        interval = self._heartbeat_interval
        # Agents that start together should not beat together.
        next_beat = loop.time() + interval * random.uniform(0.5, 1.0)
        next_housekeeping = loop.time() + HOUSEKEEPING_SECONDS
        while True:
            await asyncio.sleep(next_beat - loop.time())
            await _attempt(self.beat())
            if loop.time() >= next_housekeeping and self._subscription is not None:
                self.store.advance(self.connection.position(self._subscription))
                self.store.prune(time.time())
                next_housekeeping = loop.time() + HOUSEKEEPING_SECONDS
            # Beats that a stalled broker held up are not made up for.
            next_beat = max(next_beat + interval, loop.time())

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.agent_id} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # Nothing may die unnoticed: whoever iterates or runs this agent gets to know.
        log.error("agent %s cannot go on: %s", self.agent_id, error)
        self.inbox.put_nowait(error if isinstance(error, CoordinatorError) else CoordinatorError(repr(error)))


async def _attempt(saying: Coroutine[object, object, None], seconds: float | None = None) -> None:
    """Say something that will be said again, or that nobody waits for."""
    try:
        async with asyncio.timeout(seconds):
            await saying
    except (DeliveryFailed, TimeoutError) as error:
        log.warning("%s", str(error) or "the broker did not answer in time")


def _covers(withdrawal: Directive, directive: Directive) -> bool:
    return withdrawal.task_id == directive.task_id and directive.epoch <= withdrawal.epoch
