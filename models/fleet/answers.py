"""What agents answer to directives: which answers count, and what they do.

An answer counts while its directive is live, from its addressee, with the directive's epoch if it names one.
"""

from __future__ import annotations

from models.events import DirectiveResponse
from models.fleet import breaker, coalitions, ledger, pace, reports, stuck, tasks
from models.fleet.rows import DirectiveRow, Outcome
from models.fleet.state import FleetState
from models.fleet.step import Step


def respond(step: Step, fleet: FleetState, event: DirectiveResponse) -> Outcome:
    refusal = _why_not(step, fleet, event)
    if refusal == "not_live" and _is_repeat(step, event):
        return "duplicate"
    if refusal is not None:
        details = {"directive_id": event.directive_id, "outcome": event.outcome}
        return step.reject(fleet, refusal, event.agent_id, details)
    directive = step.state.tables.directives.rows[event.directive_id]
    if directive.coalition_id is not None and directive.type != "leave_coalition":
        _answer_as_member(step, fleet, directive, event)
    elif directive.type == "assign_task":
        _answer_assignment(step, fleet, directive, event)
    elif event.outcome in ("completed", "rejected", "failed"):
        ledger.end(step, fleet, event.directive_id, event.outcome)
    return "applied"


def _why_not(step: Step, fleet: FleetState, event: DirectiveResponse) -> str | None:
    tables = step.state.tables
    live = tables.directives.get(event.directive_id)
    directive = live or tables.ended_directives.get(event.directive_id)
    if directive is None or directive.fleet != fleet.name:
        return "unknown_directive"
    if directive.agent_id != event.agent_id:
        return "wrong_agent"
    if event.epoch is not None and event.epoch != directive.epoch:
        return "wrong_epoch"
    return None if live is not None else "not_live"


def _is_repeat(step: Step, event: DirectiveResponse) -> bool:
    """Whether this very answer ended the directive before.

    Directives are delivered at least once, and an agent answers each delivery: that is no mistake of anybody.
    """
    ended = step.state.tables.ended_directives.get(event.directive_id)
    return ended is not None and ended.answer == event.outcome


def _answer_assignment(
    step: Step, fleet: FleetState, directive: DirectiveRow, event: DirectiveResponse
) -> None:
    task = step.state.task_of(fleet, directive)
    if event.outcome == "rejected":
        ledger.end(step, fleet, event.directive_id, event.outcome)
        tasks.take_back(step, fleet, task, event.reason or "rejected", "delivery")
    elif event.outcome == "completed":
        pace.learn(step, fleet, task, directive)
        reports.note_slowdown(step, fleet, task, directive)
        breaker.succeeded(step, fleet, directive.agent_id)
        ledger.end(step, fleet, event.directive_id, event.outcome)
        tasks.finish(step, fleet, task, "completed", event.reason, event.result)
    elif event.outcome == "failed":
        ledger.end(step, fleet, event.directive_id, event.outcome)
        breaker.failed(step, fleet, directive.agent_id, task, event.reason or "failed")
        tasks.take_back(step, fleet, task, event.reason or "failed", "attempt", backoff=True)
    elif _begins(step, directive, event):
        tasks.start(step, fleet, task)
        stuck.watch(step, fleet, task, event.directive_id, directive)


def _answer_as_member(
    step: Step, fleet: FleetState, directive: DirectiveRow, event: DirectiveResponse
) -> None:
    """Of a join the answer is whether the agent comes; of its part, how that went."""
    joining = directive.type == "join_coalition"
    if event.outcome == "rejected" or (joining and event.outcome == "failed"):
        ledger.end(step, fleet, event.directive_id, event.outcome)
        coalitions.left(step, fleet, directive, event.reason or event.outcome, "delivery")
    elif event.outcome == "failed":
        ledger.end(step, fleet, event.directive_id, event.outcome)
        task = step.state.task_of(fleet, directive)
        breaker.failed(step, fleet, directive.agent_id, task, event.reason or "failed")
        coalitions.failed(step, fleet, directive, event.reason or "failed")
    elif event.outcome == "completed" and not joining:
        ledger.end(step, fleet, event.directive_id, event.outcome)
        breaker.succeeded(step, fleet, directive.agent_id)
        coalitions.completed(step, fleet, directive, event.result)
    elif _begins(step, directive, event):
        coalitions.accepted(step, fleet, directive)


def _begins(step: Step, directive: DirectiveRow, event: DirectiveResponse) -> bool:
    """Note an answer that ends nothing; whether it is the first one, which accepts the directive."""
    if event.progress is not None:
        directive.progress = event.progress
        directive.heard_at = step.now
        step.state.tables.directives.touch(event.directive_id)
    if directive.accepted:
        return False
    step.state.accept_directive(event.directive_id, directive, step.now)
    return True
