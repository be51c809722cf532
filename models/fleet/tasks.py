"""The life of a task: submitted, pending, assigned, running, and exactly one end.

pending -> assigned -> running -> completed | failed | cancelled
   ^__________|___________|   with a higher epoch, while the task's limits allow
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, TypeAlias
from zlib import crc32

import orjson

from models import histogram
from models.codec import encode
from models.events import TaskSubmitted
from models.fleet import impossible, ledger, tenants
from models.fleet.backlog import TaskClass, class_id_of
from models.fleet.roster import Agent
from models.fleet.rows import EndedTaskRow, EndState, Outcome, TaskRow, micro
from models.fleet.spread import Spread
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.outputs import Result, ResultType
from models.policy import RetryPolicy

Counts: TypeAlias = Literal["attempt", "delivery", "nothing"]
"""What it costs a task that an assignment of it ended without completing it."""

_RESULT: dict[EndState, ResultType] = {
    "completed": "task_completed",
    "failed": "task_failed",
    "cancelled": "task_cancelled",
}


def submit(step: Step, fleet: FleetState, event: TaskSubmitted) -> Outcome:
    tables = step.state.tables
    key = fleet.key(event.task_id)
    digest = digest_of(event)
    known = tables.tasks.get(key) or tables.ended_tasks.get(key)
    if known is not None:
        if known.digest == digest:
            return "duplicate"
        return step.reject(fleet, "task_exists", event.task_id)
    task = _row_of(step, event, digest)
    fleet.row.submitted += 1
    step.state.touch_fleet(fleet)
    impossible.review(step, fleet, step.state.add_task(fleet, task))
    impossible.alert_newcomer(step, fleet, task)
    return "applied"


def assign(step: Step, fleet: FleetState, task: TaskRow, agent: Agent, plan_id: str) -> None:
    """Give a pending task to an agent; the caller has checked that it is feasible."""
    task_class = leave_queue(step, fleet, task)
    ledger.assign(step, fleet, task, agent, plan_id)
    impossible.review(step, fleet, task_class)


def leave_queue(step: Step, fleet: FleetState, task: TaskRow, members: int = 1) -> TaskClass:
    """The task waits no more: so many agents are asked to do it."""
    waited = step.now - max(task.pending_since, task.retry_at)
    fleet.row.assigned += 1
    fleet.row.reassigned += task.epoch > 0
    fleet.row.waited += waited
    histogram.add(fleet.row.waits, waited)
    fleet.row.waited_max = max(fleet.row.waited_max, waited)
    share = members * tenants.share_of(task, fleet.policy.planning.tenants)
    tenant = task.tenant or ""
    tenants.serve(fleet.row.served, tenant, share)
    tenants.note_given(fleet.row.given, tenant, share)
    step.state.touch_fleet(fleet)
    return step.state.unqueue(fleet, task)


def start(step: Step, fleet: FleetState, task: TaskRow) -> None:
    """Its assignment has been accepted."""
    task.state = "running"
    step.state.tables.tasks.touch(fleet.key(task.task_id))


def give_way(step: Step, fleet: FleetState, task: TaskRow, other: TaskRow) -> None:
    """An assigned task goes back into the queue, at no cost to it, so that another gets its place."""
    assert task.directive_id is not None
    other.claim = ledger.withdraw(step, fleet, task.directive_id)
    step.state.tables.tasks.touch(fleet.key(other.task_id))
    fleet.row.preempted += 1
    step.state.touch_fleet(fleet)
    take_back(step, fleet, task, "preempted", "nothing")


def move(step: Step, fleet: FleetState, task: TaskRow, agent: Agent, plan_id: str) -> None:
    """Take an assigned task from its agent and give it to another, at no cost to it; the caller has checked that
    the other can have it."""
    assert task.directive_id is not None
    ledger.withdraw(step, fleet, task.directive_id)
    task.last_reason = "rebalanced"
    task.moved_at = step.now
    ledger.assign(step, fleet, task, agent, plan_id)
    step.state.tables.tasks.touch(fleet.key(task.task_id))
    fleet.row.moved += 1
    fleet.row.moved_at = step.now
    step.state.touch_fleet(fleet)


def take_back(
    step: Step,
    fleet: FleetState,
    task: TaskRow,
    reason: str,
    counts: Counts,
    *,
    agent_id: str | None = None,
    backoff: bool = False,
) -> None:
    """The task's assignment has ended without completing it: back into the queue, unless a limit is reached.

    Args:
        reason: Why the assignment ended; it becomes the task's if this was its last.
        counts: What the end costs the task.
        agent_id: On whom it ended; its assignee by default.
        backoff: Whether to wait before the next attempt: after failures, which may well repeat at once.
            What another agent can cure at once (rejection, silence, loss) does not wait.
    """
    task.directive_id = None
    failure = charge(step, fleet, task, reason, counts, agent_id or task.agent_id)
    if failure is not None:
        finish(step, fleet, task, "failed", failure)
        return
    if counts == "attempt" and len(task.failed_on) >= fleet.policy.quarantine:
        task.retry_at = step.now + fleet.policy.retry.cap
    elif backoff:
        task.retry_at = step.now + retry_delay(fleet.policy.retry, task.task_id, task.epoch, task.attempts)
    task.pending_since = step.now
    impossible.review(step, fleet, step.state.make_pending(fleet, task))
    impossible.alert_newcomer(step, fleet, task)


def charge(
    step: Step, fleet: FleetState, task: TaskRow, reason: str, counts: Counts, agent_id: str | None
) -> str | None:
    """Count that an agent did not do what it was asked; why the task has failed by that, if it has.

    A delivery also spares the task the same agent for a while.
    """
    policy = fleet.policy
    task.last_reason = reason
    step.state.tables.tasks.touch(fleet.key(task.task_id))
    if counts == "attempt":
        task.attempts += 1
        if task.attempts >= task.max_attempts:
            return reason
        _blame(step, fleet, task, reason, agent_id)
    if counts == "delivery":
        task.deliveries += 1
        if task.deliveries >= policy.deliveries:
            return f"undeliverable: {reason}"
        assert agent_id is not None
        task.skips = {agent: until for agent, until in task.skips.items() if until > step.now}
        task.skips[agent_id] = step.now + policy.reject_cooldown
    return None


def _blame(step: Step, fleet: FleetState, task: TaskRow, reason: str, agent_id: str | None) -> None:
    """A task that ends badly on several agents is more likely to blame than they are."""
    quarantine = fleet.policy.quarantine
    if agent_id is None or agent_id in task.failed_on or len(task.failed_on) >= quarantine:
        return
    task.failed_on = [*task.failed_on, agent_id]
    if len(task.failed_on) == quarantine:
        details = {
            "agents": task.failed_on,
            "attempts": task.attempts,
            "max_attempts": task.max_attempts,
            "pause": fleet.policy.retry.cap / 1000,
        }
        step.alert(fleet.name, "task_poisoned", task.task_id, reason, details)


def finish(
    step: Step, fleet: FleetState, task: TaskRow, state: EndState, reason: str | None, result: object = None
) -> None:
    """The task's one end. Its assignment, if any, must have ended before."""
    tables = step.state.tables
    key = fleet.key(task.task_id)
    if state == "completed":
        fleet.row.completed += 1
    elif state == "failed":
        fleet.row.failed += 1
    else:
        fleet.row.cancelled += 1
    step.state.touch_fleet(fleet)
    task_class = fleet.classes[task.class_id]
    if task.state == "pending":
        step.state.unqueue(fleet, task)
    step.state.remove_task(fleet, task)
    impossible.review(step, fleet, task_class)
    forget_at = step.now + fleet.policy.task_memory
    tables.ended_tasks.put(
        key,
        EndedTaskRow(
            state=state,
            digest=task.digest,
            ended_at=step.now,
            epoch=task.epoch,
            attempt=task.attempt,
            agent_id=task.agent_id,
            reason=reason,
            submitted_at=task.submitted_at,
            forget_at=forget_at,
        ),
    )
    step.state.timers.moment(forget_at, "task", key)
    kind = _RESULT[state]
    outcome = Result(
        type=kind,
        task_id=task.task_id,
        fleet=fleet.name,
        time=step.now,
        reason=reason,
        result=result,
        attempt=task.attempt,
        epoch=task.epoch,
        agent_id=task.agent_id,
        cause=step.cause,
        provenance=step.provenance(fleet),
    )
    step.put_out(kind, outcome.output())
    if state == "failed":
        step.alert(fleet.name, "task_failed", task.task_id, reason or "failed")


def retry_delay(policy: RetryPolicy, task_id: str, epoch: int, attempts: int) -> int:
    """Milliseconds before the next attempt, spread by a hash: replays repeat it, herds do not form."""
    wait = float(policy.base)
    for _ in range(attempts - 1):
        if wait >= policy.cap:
            break
        wait *= policy.factor
    wait = min(wait, float(policy.cap))
    share = crc32(f"{task_id}/{epoch}".encode()) / 0xFFFFFFFF
    return round(wait * (1 - policy.jitter * share))


def digest_of(event: TaskSubmitted) -> bytes:
    """Of all that makes up the task, defaults filled in; not of the event around it (id, time, sequence)."""
    content = {
        "requires": event.requires,
        "slots": event.slots,
        "size": event.size,
        "priority": event.priority,
        "deadline": event.deadline,
        "prefer": event.prefer,
        "max_attempts": event.max_attempts,
        "ack_timeout": event.ack_timeout,
        "run_timeout": event.run_timeout,
        "tenant": event.tenant,
        "coalition": event.coalition,
        "payload": event.payload,
    }
    if event.spread is not None:  # what was submitted before there were groups keeps its digest
        content["spread"] = event.spread
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()[:16]


def _row_of(step: Step, event: TaskSubmitted, digest: bytes) -> TaskRow:
    capabilities = sorted(set(event.requires.capabilities))
    resources = micro(event.requires.resources)
    labels = dict(sorted(event.requires.labels.items()))
    coalition = None if event.coalition is None else encode(event.coalition)
    wish = event.spread
    spread = None if wish is None else Spread(wish.group, wish.by, wish.most)
    class_id = class_id_of(capabilities, resources, labels, event.slots, coalition, event.tenant, spread)
    return TaskRow(
        fleet=event.fleet,
        task_id=event.task_id,
        class_id=class_id,
        digest=digest,
        sequence=step.offset,
        submitted_at=step.now,
        capabilities=capabilities,
        resources=resources,
        labels=labels,
        slots=event.slots,
        priority=event.priority,
        deadline=event.deadline,
        max_attempts=event.max_attempts,
        ack_timeout=event.ack_timeout,
        run_timeout=event.run_timeout,
        payload=encode(event.payload),
        coalition=coalition,
        size=event.size,
        prefer_zone=event.prefer.zone,
        prefer_labels=dict(event.prefer.labels),
        tenant=event.tenant,
        pending_since=step.now,
        spread=spread,
    )
