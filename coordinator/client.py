"""The submitter's and the operator's side: tasks in, results out, and a few words to the coordinator."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Literal, Self, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from coordinator import _limits
from coordinator._reader import Record, Subscription, stop_consumer
from coordinator._rejections import Rejections
from coordinator._wire import ALERTS, EVENTS, RESULTS, decode_result, encode_event
from coordinator.batch import Batch, TaskHandle
from coordinator.connection import Connection, checked
from coordinator.errors import BrokerUnavailable, CoordinatorError, NotRunning, TopicMissing
from coordinator.task import Task, TaskResult

log = logging.getLogger("coordinator")

Since: TypeAlias = Literal["earliest"] | datetime | float
"""From where to look for a result: the whole topic, or a time (with zone, or epoch seconds)."""

KEPT_RESULTS = 10_000
"""Results of others' tasks that a client remembers, so that a later ``wait`` finds them; oldest go first."""
ALERTS_SECONDS = 3.0
"""How long a client looks for the topic of alerts, without which it works as well, but hears of no rejection."""


class Client:
    """Submits tasks and awaits their results. Use it as ``async with Client() as client``."""

    def __init__(self, connection: Connection | None = None, *, fleet: str = "default") -> None:
        """Describe a client; nothing is opened yet.

        Args:
            connection: Shared with other clients and agents; its own by default.
            fleet: Whose tasks these are.
        """
        self.fleet = _limits.fleet_name(fleet)
        self._shared_connection = checked(connection)
        self._connection: Connection | None = None
        self._subscriptions: list[Subscription] = []
        self._waiting: dict[str, asyncio.Future[TaskResult]] = {}
        self._seen: OrderedDict[str, TaskResult] = OrderedDict()
        self._rejections = Rejections(self.fleet)
        self._failure: CoordinatorError | None = None

    async def start(self) -> Self:
        """Connect, and listen for results from now on.

        Raises:
            BrokerUnavailable, TopicMissing: if there is no coordinator's Kafka to talk to.
        """
        if self._connection is not None:
            return self
        connection = self._shared_connection or await Connection().start()
        try:
            await connection.partitions(EVENTS)
            # Read from the ends as they are before anything is submitted: no result can slip by.
            ends = await connection.end_offsets(await connection.partitions(RESULTS))
            for partition, end in ends.items():
                subscription = Subscription(partition, None, end, receive=self._receive, failed=self._fail)
                await connection.subscribe(subscription)
                self._subscriptions.append(subscription)
            await self._listen_to_alerts(connection)
        except BaseException:
            await self._leave(connection)
            raise
        self._connection = connection
        return self

    async def stop(self) -> None:
        """Close. Tasks go on without their submitter. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._leave(connection)
        self._fail(NotRunning("the client"))
        self._failure = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    # -- tasks ----------------------------------------------------------------------------------------------

    async def submit(self, task: Task) -> TaskHandle:
        """Submit a task; returns when the broker has it.

        Submitting it again (after an error, say) is safe as long as it keeps its ``task_id``. If another task
        has that id, the handle's result is ``refused`` (``task_exists``), as far as the coordinator says so: it
        does once a minute for each id.

        Raises:
            InvalidValue: if the contract does not allow it; nothing was sent.
            DeliveryFailed: if the broker did not take it.
        """
        value = self._submission(task, "task")
        handle = self._submission_handle(task.task_id)
        place = await self._alive().send(EVENTS, task.task_id, value)
        self._rejections.expect(place, handle.future)
        return handle

    async def submit_many(self, tasks: Iterable[Task]) -> Batch:
        """Submit tasks together; returns when the broker has them all.

        All are checked before the first is sent.

        Raises:
            InvalidValue, DeliveryFailed: as for :meth:`submit`.
        """
        events = []
        for index, task in enumerate(tasks):
            value = self._submission(task, f"tasks[{index}]")
            events.append((task.task_id, value))
        connection = self._alive()
        handles = [self._submission_handle(task_id) for task_id, _ in events]
        deliveries = [await connection.post(EVENTS, task_id, value) for task_id, value in events]
        for handle, delivery in zip(handles, deliveries, strict=True):
            self._rejections.expect(await delivery, handle.future)
        return Batch(self, handles)

    def handle(self, task_id: str) -> TaskHandle:
        """A handle on a task by its id, whoever submitted it."""
        self._alive()
        return TaskHandle(self, _limits.identifier(task_id, "task_id"), self._future(task_id))

    async def cancel(self, task_id: str, reason: str | None = None) -> None:
        """Ask for the end of a task; its result, ``cancelled`` or an earlier one, tells what came of it."""
        await self._say(
            "task_cancelled", task_id=_limits.identifier(task_id, "task_id"), reason=_reason(reason)
        )

    async def wait(self, task_id: str, timeout: float | None = None) -> TaskResult:  # noqa: ASYNC109
        """Wait until a task has ended, and say how.

        Sees results from this client's start on; for earlier ones see :meth:`result`.

        Args:
            task_id: The task, whoever submitted it.
            timeout: Seconds; ``None`` waits for ever.

        Raises:
            WaitTimeout: if it has not ended by then.
        """
        return await self.handle(task_id).wait(timeout)

    async def result(
        self,
        task_id: str,
        *,
        since: Since = "earliest",
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> TaskResult:
        """How a task ended, also if that was before this client began. The coordinator keeps results 30 days.

        Args:
            task_id: The task.
            since: How far to look back.
            timeout: Seconds to wait for one that is still to come; ``0`` only looks.

        Raises:
            WaitTimeout: if there is none.
        """
        handle = self.handle(task_id)
        if not handle.done and (found := await self._look_back(task_id, since)) is not None:
            self._take(found)
        return await handle.wait(timeout)

    # -- operators ------------------------------------------------------------------------------------------

    async def drain(self, agent_id: str, deadline: datetime | float | None = None) -> None:
        """Give an agent no new work, and move what it has not finished by the deadline."""
        await self._operate("agent_drained", agent_id, deadline)

    async def cordon(self, agent_id: str) -> None:
        """Give an agent no new work; what it has, it finishes."""
        await self._operate("agent_cordoned", agent_id, None)

    async def uncordon(self, agent_id: str) -> None:
        """End a cordon or drain."""
        await self._operate("agent_uncordoned", agent_id, None)

    async def set_policy(self, policy: Mapping[str, object], version: int) -> None:
        """Change the fleet's policy, as a whole or by patch; the version must rise."""
        await self._say(
            "policy_changed", policy=dict(policy), version=_limits.integer(version, "version", 1, 2**53 - 1)
        )

    # -- inside ---------------------------------------------------------------------------------------------

    def _submission(self, task: Task, field: str) -> bytes:
        _limits.instance(task, field, Task, 'a Task, such as Task(payload="...")')
        return encode_event("task_submitted", fleet=self.fleet, **task.fields())

    def _submission_handle(self, task_id: str) -> TaskHandle:
        """A handle on one submission: it may be rejected while another's of the same id is under way."""
        own: asyncio.Future[TaskResult] = asyncio.get_running_loop().create_future()
        self.handle(task_id).future.add_done_callback(partial(_follow, own))
        return TaskHandle(self, task_id, own)

    async def _listen_to_alerts(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(ALERTS_SECONDS):
                ends = await connection.end_offsets(await connection.partitions(ALERTS))
        except (BrokerUnavailable, KafkaError, TimeoutError, TopicMissing) as error:
            log.info("alerts cannot be read, so rejected submissions will not be noticed: %s", error)
            return
        for partition, end in ends.items():
            subscription = Subscription(partition, None, end, receive=self._hear, failed=self._lose_alerts)
            await connection.subscribe(subscription)
            self._subscriptions.append(subscription)

    def _hear(self, record: Record) -> None:
        self._rejections.hear(record.value)

    def _lose_alerts(self, error: CoordinatorError) -> None:
        log.info("rejected submissions will not be noticed any more: %s", error)

    async def _operate(self, type_: str, agent_id: str, deadline: datetime | float | None) -> None:
        when = None if deadline is None else _limits.moment(deadline, "deadline")
        await self._say(type_, agent_id=_limits.identifier(agent_id, "agent_id"), deadline=when)

    async def _say(self, type_: str, **fields: object) -> None:
        value = encode_event(type_, fleet=self.fleet, **fields)
        subject = fields.get("task_id") or fields.get("agent_id") or self.fleet
        await self._alive().send(EVENTS, str(subject), value)

    def _alive(self) -> Connection:
        if self._failure is not None:
            raise self._failure
        if self._connection is None:
            raise NotRunning("the client")
        return self._connection

    def _future(self, task_id: str) -> asyncio.Future[TaskResult]:
        future = self._waiting.get(task_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            if (seen := self._seen.get(task_id)) is not None:
                future.set_result(seen)
            else:
                self._waiting[task_id] = future
        return future

    def _receive(self, record: Record) -> None:
        result = decode_result(record.value)
        if result is not None and result.fleet == self.fleet:
            self._take(result)

    def _take(self, result: TaskResult) -> None:
        """A result is delivered at least once; all copies are equal."""
        future = self._waiting.pop(result.task_id, None)
        if future is not None and not future.done():
            future.set_result(result)
        self._seen[result.task_id] = result
        if len(self._seen) > KEPT_RESULTS:
            self._seen.popitem(last=False)

    def _fail(self, error: CoordinatorError) -> None:
        self._failure = error
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits still gets it; whoever does not, is not told off for it

    async def _leave(self, connection: Connection) -> None:
        for subscription in self._subscriptions:
            connection.unsubscribe(subscription)
        self._subscriptions.clear()
        if connection is not self._shared_connection:
            await connection.stop()

    async def _look_back(self, task_id: str, since: Since) -> TaskResult | None:
        connection = self._alive()
        partition = await connection.partition_of(RESULTS, task_id)
        consumer = connection.consumer()
        try:
            with connection.naming_the_broker():
                await consumer.start()
                consumer.assign([partition])
                end = (await consumer.end_offsets([partition]))[partition]
                start = (await consumer.beginning_offsets([partition]))[partition]
                if since != "earliest":
                    moment = int(_limits.moment(since, "since") * 1000)
                    later = (await consumer.offsets_for_times({partition: moment}))[partition]
                    start = end if later is None else later.offset
                consumer.seek(partition, start)
                return await self._scan(consumer, partition, end, task_id)
        finally:
            await stop_consumer(consumer)

    async def _scan(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, end: int, task_id: str
    ) -> TaskResult | None:
        key = task_id.encode()
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    result = decode_result(record.value) if record.key == key else None
                    if result is not None and result.fleet == self.fleet:
                        return result
        return None


def _follow(own: asyncio.Future[TaskResult], shared: asyncio.Future[TaskResult]) -> None:
    if own.done():
        return
    if (error := shared.exception()) is None:
        own.set_result(shared.result())
    else:
        own.set_exception(error)
        own.exception()  # as in `_fail`


def _reason(reason: str | None) -> str | None:
    return None if reason is None else _limits.text(reason, "reason")
