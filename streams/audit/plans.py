"""Deriving plans again: what the planner says to the state that a recorded plan was based on."""

from __future__ import annotations

from models.codec import InvalidRecord
from models.cut import Place
from models.fleet import FleetFold
from models.fleet.seal import FOLD_VERSION
from models.fleet_records import CoordinationPlan, decode_fleet_record
from models.fold import LogRecord, Output, Record
from streams.audit.findings import UNKNOWN_VERSION, Finding, Report, Verdict
from streams.audit.lanes import fields_that_differ, reason_of
from streams.planner import WaterFillPlanner, encode_plan, snapshot

CHECK = "plans"


def plan_in(record: Record) -> CoordinationPlan | None:
    """The plan that a record of the fleet log holds, if it holds one."""
    if b'"plan_proposed"' not in (record.value or b""):
        return None
    try:
        found = decode_fleet_record(record.value)
    except InvalidRecord:
        return None
    return found if isinstance(found, CoordinationPlan) else None


def judge(fold: FleetFold, place: Place, record: Record, plan: CoordinationPlan, report: Report) -> None:
    """Compare a recorded plan with what this planner proposes to the state that it was based on.

    Args:
        fold: As of ``plan.based_on``.
    """
    if not report.judges(place, record.offset):
        return None
    planner = WaterFillPlanner()

    def find(verdict: Verdict, reason: str, details: dict[str, object] | None = None) -> None:
        report.add(Finding(verdict, CHECK, place, record.offset, reason, plan.plan_id, details or {}))

    told = {"planner": plan.planner.name, "version": plan.planner.version}
    if plan.planner.name != planner.name:
        return find(Verdict.VALID_NOT_EQUAL, "other_planner", dict(told))
    if plan.planner.version != planner.version:
        return find(Verdict.VALID_NOT_EQUAL, "other_version", dict(told))
    if plan.provenance is not None and plan.provenance.fold != FOLD_VERSION:
        return find(Verdict.UNVERIFIABLE, UNKNOWN_VERSION, {"fold": plan.provenance.fold})
    seen = snapshot(fold, plan.fleet)
    if seen is None:
        return find(Verdict.DIVERGENT, "unknown_fleet")
    moves = bool(plan.directives) and all(entry.type == "move_task" for entry in plan.directives)
    propose = planner.rebalance if moves else planner.plan
    derived = propose(seen, seen.policy, plan.planner.budget)
    if derived is None:
        return find(Verdict.DIVERGENT, "nothing_to_propose")
    value = encode_plan(derived)
    if value == record.value:
        return report.equal(CHECK, place, record.offset)
    expected = Output("fleet", record.key, value)
    fields = fields_that_differ(expected, _bare(record))
    return find(Verdict.DIVERGENT, reason_of(fields), {"fields": fields})


def _bare(record: Record) -> Record:
    return LogRecord(record.offset, record.timestamp, record.key, record.value)
