"""The same agents and clients for programs without an event loop.

Names and meanings are those of the asynchronous classes; see there for arguments and errors. Everything runs on
one event loop in a background thread, which begins with the first object that needs it and ends with the last.
An object may be used from any thread. Handlers are plain functions and run in threads of their own.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, Self, TypeVar, overload

from coordinator import _handlers, _limits
from coordinator import agent as _agent
from coordinator import batch as _batch
from coordinator import client as _client
from coordinator import connection as _connection
from coordinator import directive as _directive
from coordinator._signals import ending_on_signals
from coordinator.directive import Coalition, EndReason
from coordinator.errors import InvalidValue, NotRunning
from coordinator.task import Role, Task, TaskResult

__all__ = [  # noqa: RUF022 - grouped by what a reader looks for
    "Agent",
    "Directive",
    "Coalition",
    "Client",
    "Task",
    "Role",
    "TaskHandle",
    "TaskResult",
    "Batch",
    "Connection",
]

T = TypeVar("T")
Handler = Callable[["Directive"], object]
H = TypeVar("H", bound=Handler)


class _LoopThread:
    """The background loop, counted by those who use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="coordinator-loop", daemon=True
                )
                self._thread.start()

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._loop is not None and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
                self._loop = self._thread = None

    def begin(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Run a coroutine on the loop."""
        loop = self._loop
        if loop is None:
            work.close()
            raise NotRunning("the object")
        return asyncio.run_coroutine_threadsafe(work, loop)

    def tell(self, what: Callable[[], None]) -> None:
        """Have something done on the loop, if it still runs; safe in a signal handler."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed just now
                loop.call_soon_threadsafe(what)

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine on the loop and wait for it; interrupting the wait cancels it."""
        future = self.begin(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise


_loop = _LoopThread()


class _Running(ABC):
    """Start and stop, the same for all: the loop is held for as long as the object runs."""

    _started = False

    def __init__(self) -> None:
        self._changing = threading.RLock()
        """Held while it starts, so that a stop in another thread finds it started. A signal handler may call
        ``stop`` in the very thread that starts: that must not wait for itself."""

    @abstractmethod
    def _open(self) -> Coroutine[object, object, object]: ...

    @abstractmethod
    def _shut(self) -> Coroutine[object, object, None]: ...

    def start(self) -> Self:
        with self._changing:
            if not self._started:
                _loop.enter()
                try:
                    _loop.run(self._open())
                except BaseException:
                    _loop.leave()
                    raise
                self._started = True
        return self

    def stop(self) -> None:
        with self._changing:
            if not self._started:
                return
            self._started = False
        try:
            _loop.run(self._shut())
        finally:
            _loop.leave()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


class Connection(_Running):
    """See :class:`coordinator.Connection`."""

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        topic_prefix: str | None = None,
        connect_timeout: float = 30.0,
        client_id: str = "coordinator-sdk",
        kafka: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self._inner = _connection.Connection(
            bootstrap_servers,
            topic_prefix=topic_prefix,
            connect_timeout=connect_timeout,
            client_id=client_id,
            kafka=kafka,
        )

    def _open(self) -> Coroutine[object, object, object]:
        return self._inner.start()

    def _shut(self) -> Coroutine[object, object, None]:
        return self._inner.stop()


def _inner_connection(connection: Connection | None) -> _connection.Connection | None:
    if connection is None:
        return None
    _limits.instance(
        connection, "connection", Connection, 'one of coordinator.sync, such as sync.Connection("host:9092")'
    )
    return connection._inner


class Directive:
    """See :class:`coordinator.Directive`: its fields are here too, and its verbs wait."""

    def __init__(self, inner: _directive.Directive) -> None:
        self._inner = inner
        self.directive_id = inner.directive_id
        self.type = inner.type
        self.agent_id = inner.agent_id
        self.fleet = inner.fleet
        self.task_id = inner.task_id
        self.epoch = inner.epoch
        self.attempt = inner.attempt
        self.plan_id = inner.plan_id
        self.issued_at = inner.issued_at
        self.ack_by = inner.ack_by
        self.ack_timeout = inner.ack_timeout
        self.expires_at = inner.expires_at
        self.run_timeout = inner.run_timeout
        self.payload = inner.payload
        self.coalition = inner.coalition
        self.cause = inner.cause

    def accept(self) -> None:
        _loop.run(self._inner.accept())

    def reject(self, reason: str) -> None:
        _loop.run(self._inner.reject(reason))

    def progress(self, fraction: float, reason: str | None = None) -> None:
        _loop.run(self._inner.progress(fraction, reason))

    def complete(self, result: object = None) -> None:
        _loop.run(self._inner.complete(result))

    def fail(self, reason: str) -> None:
        _loop.run(self._inner.fail(reason))

    @property
    def ended(self) -> EndReason | None:
        """Why it is over, or ``None``. A thread cannot be cancelled: long work should look at it now and then."""
        return self._inner.ended

    def wait_ended(self) -> EndReason:
        return _loop.run(self._inner.wait_ended())

    def __repr__(self) -> str:
        return repr(self._inner)


class Agent(_Running):
    """See :class:`coordinator.Agent`."""

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
        super().__init__()
        self._inner = _agent.Agent(
            agent_id,
            capabilities=capabilities,
            slots=slots,
            resources=resources,
            zone=zone,
            labels=labels,
            version=version,
            heartbeat_interval=heartbeat_interval,
            only_capabilities=only_capabilities,
            only_tenants=only_tenants,
            fleet=fleet,
            connection=_inner_connection(connection),
            state_dir=state_dir,
            stop_timeout=stop_timeout,
            on_stop=on_stop,
        )
        self._handler: Handler | None = None

    def _open(self) -> Coroutine[object, object, object]:
        return self._inner.start()

    def _shut(self) -> Coroutine[object, object, None]:
        return self._inner.stop()

    @property
    def agent_id(self) -> str:
        return self._inner.agent_id

    @property
    def fleet(self) -> str:
        return self._inner.fleet

    @property
    def slots(self) -> int:
        return self._inner.slots

    @property
    def running(self) -> bool:
        return self._started

    @property
    def incarnation(self) -> int:
        return self._inner.incarnation

    def directives(self) -> Iterator[Directive]:
        arriving = self._inner.directives()

        async def following() -> _directive.Directive | None:
            return await anext(arriving, None)

        with ending_on_signals(self._wind_down):
            while (directive := _loop.run(following())) is not None:
                yield Directive(directive)

    @overload
    def task(self, handler: H) -> H: ...
    @overload
    def task(self) -> Callable[[H], H]: ...
    def task(self, handler: H | None = None) -> H | Callable[[H], H]:
        if handler is None:
            return self.task
        _handlers.check_plain(handler)
        _handlers.check_is_the_only_one(handler, self._handler)
        self._handler = handler
        return handler

    def run(self, handler: Handler | None = None) -> None:
        """Run a handler for every assignment until :meth:`stop` is called, or Ctrl-C or SIGTERM ends it: the agent
        then finishes, says goodbye, and this method returns.

        A handler whose directive has ended runs on, since threads cannot be cancelled; what it returns is then
        dropped. It still occupies its slot until it returns.
        """
        function = handler or self._handler
        if function is None:
            raise InvalidValue("handler", None, "give run() a function, or decorate one with @agent.task")
        _handlers.check_plain(function)
        with (
            ending_on_signals(self._wind_down),
            suppress(_agent.StartAbandoned),
            ThreadPoolExecutor(max(self.slots, 1), thread_name_prefix=self.agent_id) as threads,
        ):

            async def in_thread(directive: _directive.Directive) -> object:
                loop = asyncio.get_running_loop()
                working = loop.run_in_executor(threads, function, Directive(directive))
                try:
                    return await asyncio.shield(working)
                except asyncio.CancelledError:
                    await asyncio.wait({working})
                    raise

            with self:
                exit_ = _loop.begin(self._inner._work(in_thread)).result()
            if exit_ is not None:
                raise exit_

    def _wind_down(self) -> None:
        _loop.tell(self._inner._wind_down)

    def report(self, metrics: Mapping[str, float]) -> None:
        _loop.run(self._inner.report(metrics))

    def report_resources(self, resources: Mapping[str, tuple[float, float]]) -> None:
        _loop.run(self._inner.report_resources(resources))

    def update(self, *, capabilities: Sequence[str] | None = None, slots: int | None = None) -> None:
        _loop.run(self._inner.update(capabilities=capabilities, slots=slots))


class TaskHandle:
    """See :class:`coordinator.TaskHandle`."""

    def __init__(self, inner: _batch.TaskHandle) -> None:
        self._inner = inner
        self.task_id = inner.task_id

    @property
    def done(self) -> bool:
        return self._inner.done

    def wait(self, timeout: float | None = None) -> TaskResult:
        return _loop.run(self._inner.wait(timeout))

    def result(self, timeout: float | None = None) -> object:
        return _loop.run(self._inner.result(timeout))

    def cancel(self, reason: str | None = None) -> None:
        _loop.run(self._inner.cancel(reason))


class Batch:
    """See :class:`coordinator.Batch`."""

    def __init__(self, inner: _batch.Batch) -> None:
        self._inner = inner

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, index: int) -> TaskHandle:
        return TaskHandle(self._inner[index])

    def __iter__(self) -> Iterator[TaskHandle]:
        return map(TaskHandle, self._inner)

    @property
    def progress(self) -> _batch.Progress:
        return self._inner.progress

    def wait(self, timeout: float | None = None) -> list[TaskResult]:
        return _loop.run(self._inner.wait(timeout))

    def as_completed(self, timeout: float | None = None) -> Iterator[TaskResult]:
        arriving = self._inner.as_completed(timeout)

        async def following() -> TaskResult | None:
            return await anext(arriving, None)

        while (result := _loop.run(following())) is not None:
            yield result

    def cancel(self, reason: str | None = None) -> None:
        _loop.run(self._inner.cancel(reason))


class Client(_Running):
    """See :class:`coordinator.Client`."""

    def __init__(self, connection: Connection | None = None, *, fleet: str = "default") -> None:
        super().__init__()
        self._inner = _client.Client(_inner_connection(connection), fleet=fleet)

    def _open(self) -> Coroutine[object, object, object]:
        return self._inner.start()

    def _shut(self) -> Coroutine[object, object, None]:
        return self._inner.stop()

    @property
    def fleet(self) -> str:
        return self._inner.fleet

    def submit(self, task: Task) -> TaskHandle:
        return TaskHandle(_loop.run(self._inner.submit(task)))

    def submit_many(self, tasks: Iterable[Task]) -> Batch:
        return Batch(_loop.run(self._inner.submit_many(tasks)))

    def handle(self, task_id: str) -> TaskHandle:
        async def handle() -> _batch.TaskHandle:
            return self._inner.handle(task_id)

        return TaskHandle(_loop.run(handle()))

    def cancel(self, task_id: str, reason: str | None = None) -> None:
        _loop.run(self._inner.cancel(task_id, reason))

    def wait(self, task_id: str, timeout: float | None = None) -> TaskResult:
        return _loop.run(self._inner.wait(task_id, timeout))

    def result(
        self, task_id: str, *, since: _client.Since = "earliest", timeout: float | None = None
    ) -> TaskResult:
        return _loop.run(self._inner.result(task_id, since=since, timeout=timeout))

    def drain(self, agent_id: str, deadline: datetime | float | None = None) -> None:
        _loop.run(self._inner.drain(agent_id, deadline))

    def cordon(self, agent_id: str) -> None:
        _loop.run(self._inner.cordon(agent_id))

    def uncordon(self, agent_id: str) -> None:
        _loop.run(self._inner.uncordon(agent_id))

    def set_policy(self, policy: Mapping[str, object], version: int) -> None:
        _loop.run(self._inner.set_policy(policy, version))
