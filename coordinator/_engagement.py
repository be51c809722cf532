"""One directive being worked on: its two clocks, who may still answer, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from coordinator.directive import Answer, Directive, EndReason
from coordinator.errors import DirectiveEnded


class LiveEngagement:
    """The live side of an assignment, from its receipt to its end.

    Attributes:
        directive: The assignment, with this engagement attached.
        runner: The task that executes it, if the agent runs handlers; cancelled when it ends early.
        accepted: Whether any answer but a rejection has been given.
    """

    def __init__(
        self,
        directive: Directive,
        send: Callable[[Directive, Answer], Awaitable[None]],
        closed: Callable[[LiveEngagement], None],
    ) -> None:
        """Start both clocks.

        Args:
            directive: What to do.
            send: Delivers an answer; returns when the broker has it.
            closed: Called once, when it is over.
        """
        self.directive = replace(directive, engagement=self)
        self.runner: asyncio.Task[None] | None = None
        self.accepted = False
        self._send = send
        self._closed = closed
        self._ended: EndReason | None = None
        self._over = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._ack_clock = loop.call_later(directive.ack_timeout, self._time_up, "ack_timeout")
        self._run_clock = (
            None
            if directive.run_timeout is None
            else loop.call_later(directive.run_timeout, self._time_up, "run_timeout")
        )
        self._farewell: asyncio.Future[None] | None = None

    @property
    def ended(self) -> EndReason | None:
        return self._ended

    async def wait_ended(self) -> EndReason:
        await self._over.wait()
        assert self._ended is not None
        return self._ended

    async def answer(self, answer: Answer) -> None:
        if self._ended is not None:
            raise DirectiveEnded(self.directive.directive_id, self._ended)
        if answer.outcome == "accepted" and self.accepted:
            return
        if answer.outcome != "rejected":
            self.accepted = True
            self._ack_clock.cancel()
        if answer.is_final:
            # Over before the answer is on its way: whoever looks meanwhile must not answer a second time.
            self._end("answered")
        await self._send(self.directive, answer)

    def end(self, reason: EndReason) -> None:
        """End it from outside, without an answer, and stop its runner."""
        if self._ended is not None:
            return
        self._end(reason)
        if self.runner is not None and self.runner is not asyncio.current_task():
            self.runner.cancel()

    async def stopped(self) -> None:
        """Wait until its runner, if any, works on it no more."""
        if self.runner is not None:
            await asyncio.wait({self.runner})

    def _time_up(self, reason: EndReason) -> None:
        self.end(reason)
        if reason == "run_timeout":
            # The answer frees the slot in the coordinator's books, so first let the work stop.
            self._farewell = asyncio.ensure_future(self._report_run_timeout())

    async def _report_run_timeout(self) -> None:
        await self.stopped()
        await self._send(self.directive, Answer("failed", reason="run_timeout"))

    def _end(self, reason: EndReason) -> None:
        self._ended = reason
        self._over.set()
        self._ack_clock.cancel()
        if self._run_clock is not None:
            self._run_clock.cancel()
        self._closed(self)
