"""An agent, as its author sees it. What happens while it runs is in ``_life.py``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Literal, Self, TypeVar, overload

from coordinator import _handlers, _limits
from coordinator._life import Handler, Life
from coordinator._signals import ending_on_signals
from coordinator._store import StateStore, state_path
from coordinator.connection import Connection, checked
from coordinator.directive import Directive
from coordinator.errors import CoordinatorError, InvalidValue, NotRunning

log = logging.getLogger("coordinator")

H = TypeVar("H", bound=Handler)


class StartAbandoned(Exception):
    """The agent was told to end while it started; only :meth:`Agent.run` gets to see it."""


class Agent:
    """One agent. Start it with ``async with``, :meth:`run` or :meth:`start`."""

    def __init__(
        self,
        agent_id: str,
        *,
        capabilities: Sequence[str] = (),
        slots: int = 1,
        resources: Mapping[str, float] | None = None,
        zone: str | None = None,
        labels: Mapping[str, str] | None = None,
        version: str | None = None,
        heartbeat_interval: float = 1.0,
        only_capabilities: Sequence[str] = (),
        only_tenants: Sequence[str] = (),
        fleet: str = "default",
        connection: Connection | None = None,
        state_dir: str | Path | None = None,
        stop_timeout: float = 10.0,
        on_stop: Literal["deregister", "offline"] = "deregister",
    ) -> None:
        """Describe an agent; nothing is opened or sent yet.

        Args:
            agent_id: Its name, unique in the fleet. Two processes with one name fight for it.
            capabilities: What it can do; tasks name what they need.
            slots: How many tasks it works on at once.
            resources: Capacities by name, such as ``{"gpu_memory": 24}``.
            zone: Where it is; tasks may prefer one.
            labels: More to select by.
            version: Of its software, for people.
            heartbeat_interval: Seconds between signs of life. It counts as lost after some twenty of silence.
            only_capabilities: It takes only tasks that require one of these, if any are given: so that an agent
                that is dear is kept for those who need it.
            only_tenants: It takes only tasks of these tenants, if any are given.
            fleet: The fleet it belongs to.
            connection: Shared with other agents and clients; its own by default.
            state_dir: Where it keeps what must survive a restart: fences, answers, read position. Without one
                it forgets them with the process, and the coordinator alone guards against repeats.
            stop_timeout: Seconds that running work gets to finish when the agent stops.
            on_stop: Whether it says goodbye for good, or stays known as ``offline`` until it comes back.

        Raises:
            InvalidValue: if the contract does not allow one of these.
        """
        self.agent_id = _limits.identifier(agent_id, "agent_id")
        self.fleet = _limits.fleet_name(fleet)
        self._description: dict[str, object] = {
            "capabilities": _limits.identifiers(capabilities, "capabilities"),
            "slots": _limits.integer(slots, "slots", 0, 100_000),
            "resources": _limits.amounts(resources or {}, "resources"),
            "zone": None if zone is None else _limits.identifier(zone, "zone"),
            "labels": _limits.labels(labels or {}, "labels"),
            "version": None if version is None else _limits.text(version, "version"),
            "heartbeat_interval": _limits.number(heartbeat_interval, "heartbeat_interval", 0.05, 3600),
            "only": _only(only_capabilities, only_tenants),
        }
        if on_stop not in ("deregister", "offline"):
            raise InvalidValue("on_stop", on_stop, "deregister or offline")
        self.slots = slots
        self._heartbeat_interval = heartbeat_interval
        self._shared_connection = checked(connection)
        self._state_path = None if state_dir is None else state_path(state_dir, fleet, agent_id)
        self._stop_timeout = stop_timeout
        self._on_stop = on_stop
        self._handler: Handler | None = None
        self._life: Life | None = None
        self._starting: asyncio.Task[object] | None = None
        self._start_over: asyncio.Event | None = None
        self._abandoned = False

    # -- life -----------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._life is not None

    @property
    def incarnation(self) -> int:
        """The number of this start; it rises from start to start."""
        return self._alive().store.incarnation

    async def start(self) -> Self:
        """Connect, register, begin to beat.

        Raises:
            BrokerUnavailable, TopicMissing: if there is no coordinator's Kafka to talk to.
            StateInUse, StateUnreadable: if ``state_dir`` cannot be used.
        """
        if self._life is not None:
            return self
        starting = self._starting = asyncio.current_task()
        over = self._start_over = asyncio.Event()
        self._abandoned = False
        try:
            self._life = await self._begin()
        except asyncio.CancelledError:
            if self._abandoned and starting is not None and starting.uncancel() == 0:
                raise StartAbandoned(f"agent {self.agent_id} was told to end before it had started") from None
            raise
        finally:
            self._starting = self._start_over = None
            over.set()
        return self

    async def _begin(self) -> Life:
        async with AsyncExitStack() as cleanup:
            connection = self._shared_connection
            if connection is None:
                connection = await cleanup.enter_async_context(Connection())
            store = StateStore(self._state_path)
            cleanup.callback(store.close)
            life = Life(self.agent_id, self.fleet, self.slots, self._heartbeat_interval, connection, store)
            cleanup.push_async_callback(life.leave_reader)
            await life.begin(self._description)
            life.cleanup = cleanup.pop_all()
            return life

    async def stop(self) -> None:
        """Take no new work, let running work finish within ``stop_timeout``, say goodbye, close.

        Work that does not finish is cancelled and answered ``failed`` (``agent_stopped``), so that it begins
        elsewhere at once. Safe to call twice. A start that is under way ends first, so that nothing stays
        registered, or runs on, after this has returned.
        """
        if self._start_over is not None:
            await self._start_over.wait()
        life = self._life
        if life is None:
            return
        async with life.stopping:  # whoever else stops it returns when it has stopped, too
            if self._life is not life:
                return
            try:
                async with life.cleanup:
                    await life.end(self._stop_timeout, self._on_stop)
            finally:
                self._life = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    # -- work -----------------------------------------------------------------------------------------------

    async def directives(self) -> AsyncIterator[Directive]:
        """Assignments as they come, for agents that answer each verb themselves. Ends when the agent stops, and
        at the first SIGINT or SIGTERM, as :meth:`run` does: the work at hand may be finished.

        Answer each: ``accept`` in time, then ``complete`` or ``fail``; or ``reject``. Watch ``ended``: after a
        withdrawal or a time-out nobody waits for the answer. Withdrawals are answered at once here, since only
        the caller knows when its work stops; :meth:`run` waits for the handler.

        Raises:
            ReadingStopped: if directives cannot be read any more.
        """
        with self._ending_on_signals():
            async for directive in self._arriving():
                yield directive

    async def _arriving(self) -> AsyncIterator[Directive]:
        inbox = self._alive().inbox
        while (arrived := await inbox.get()) is not None:
            if isinstance(arrived, CoordinatorError):
                raise arrived
            if arrived.ended is None:
                yield arrived.directive

    @overload
    def task(self, handler: H) -> H: ...
    @overload
    def task(self) -> Callable[[H], H]: ...
    def task(self, handler: H | None = None) -> H | Callable[[H], H]:
        """Decorator: make an async function of a directive the handler that :meth:`run` uses.

        Raises:
            InvalidValue: if it is none, or if there is a handler already.
        """
        if handler is None:
            return self.task
        _handlers.check_async(handler)
        _handlers.check_is_the_only_one(handler, self._handler)
        self._handler = handler
        return handler

    async def run(self, handler: Handler | None = None) -> None:
        """Run a handler for every assignment, as many at once as the agent has slots, until it is stopped.

        An assignment is accepted when its handler starts, completed with what it returns, and failed with the
        text of what it raises. A withdrawal or the run timeout cancels it. Starts the agent if need be, and
        stops it at the end, also when cancelled.

        The first SIGINT (Ctrl-C) or SIGTERM stops the agent and lets this method return, so that a program that
        does nothing else ends with status 0; a second Ctrl-C waits for no work any more. If other tasks than
        ``asyncio.run``'s own run agents, whatever that one still does is cancelled when they have stopped. A
        program with signal handlers of its own keeps them. A handler that calls ``sys.exit()`` fails its
        directive; the agent then stops in the same way and raises the ``SystemExit`` here.

        Args:
            handler: An async function of a directive; the one given to :meth:`task` by default. Plain functions
                are for :class:`coordinator.sync.Agent`: here they would hold up the agent's heartbeats.

        Raises:
            InvalidValue: if it is none.
        """
        handler = handler or self._handler
        if handler is None:
            raise InvalidValue("handler", None, "give run() a function, or decorate one with @agent.task")
        _handlers.check_async(handler)
        try:
            with self._ending_on_signals():
                exit_ = await self._work(handler)
        except StartAbandoned:
            log.info("agent %s was told to end before it had started", self.agent_id)
            return
        if exit_ is not None:
            raise exit_

    async def _work(self, handler: Handler) -> SystemExit | KeyboardInterrupt | None:
        """What :meth:`run` does, but for the end of the program: a handler's wish for it is returned."""
        async with self:
            life = self._alive()
            async for directive in self._arriving():
                life.execute(handler, directive)
        return life.exit

    def _ending_on_signals(self) -> AbstractContextManager[None]:
        loop = asyncio.get_running_loop()
        return ending_on_signals(lambda: loop.call_soon_threadsafe(self._wind_down))

    def _wind_down(self) -> None:
        """Let no more directives arrive, so that whoever works on them comes to an end; or do not even start."""
        if self._life is not None:
            self._life.wind_down()
        elif self._starting is not None:
            self._abandoned = True
            self._starting.cancel()

    # -- reports --------------------------------------------------------------------------------------------

    async def report(self, metrics: Mapping[str, float]) -> None:
        """Report measured values, for the coordinator's windows and reports."""
        await self._alive().voice.say("metric_report", metrics=_limits.metrics(metrics))

    async def report_resources(self, resources: Mapping[str, tuple[float, float]]) -> None:
        """Report capacity and use of resources, as ``{name: (capacity, used)}``."""
        _limits.amounts({name: capacity for name, (capacity, _) in resources.items()}, "resources")
        _limits.amounts({name: used for name, (_, used) in resources.items()}, "resources")
        states = {name: {"capacity": capacity, "used": used} for name, (capacity, used) in resources.items()}
        await self._alive().voice.say("resource_report", resources=states)

    async def update(self, *, capabilities: Sequence[str] | None = None, slots: int | None = None) -> None:
        """Change what the agent offers, while it runs."""
        life = self._alive()
        changes: dict[str, object] = {}
        if capabilities is not None:
            changes["capabilities"] = _limits.identifiers(capabilities, "capabilities")
        if slots is not None:
            changes["slots"] = _limits.integer(slots, "slots", 0, 100_000)
            self.slots = slots
            life.set_slots(slots)
        self._description |= changes
        await life.beat(changes=changes)

    def _alive(self) -> Life:
        if self._life is None:
            raise NotRunning(f"agent {self.agent_id}")
        return self._life


def _only(capabilities: Sequence[str], tenants: Sequence[str]) -> dict[str, object] | None:
    """The kinds of tasks that are taken, as they go on the wire; ``None`` for all."""
    only: dict[str, object] = {}
    if capabilities:
        only["capabilities"] = _limits.identifiers(capabilities, "only_capabilities")
    if tenants:
        only["tenants"] = _limits.identifiers(tenants, "only_tenants")
    return only or None
