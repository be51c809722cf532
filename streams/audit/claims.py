"""What a record of the coordinator says of its cause. It is a claim: whether it is true is what gets verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from models import events, fleet_records
from models.codec import InvalidRecord, object_in
from models.dead_letters import ORIGIN_HEADER
from models.fleet.seal import FOLD_VERSION
from models.fold import Output, Record
from models.partition import partition_of
from models.upcasting import upcast

Source: TypeAlias = tuple[Literal["events", "fleet"], int]
"""The fold that put something out: that of a partition of the events, or of the fleet log."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The record that is said to have caused another one."""

    source: Source
    offset: int | None
    """``None`` if it does not say: of a tick."""


def value_of(record: Record | Output) -> dict[str, Any]:
    """The JSON object in the record; an empty one if it holds none."""
    return object_in(record.value) or {}


def of_fleet_record(value: dict[str, Any]) -> Claim | None:
    """Of a record of the fleet log that is no plan."""
    source = value.get("source")
    if isinstance(source, dict):
        partition, offset = source.get("partition"), source.get("offset")
        if isinstance(partition, int) and isinstance(offset, int):
            return Claim(("events", partition), offset)
    partition = value.get("partition")
    if value.get("type") == "clock_ticked" and isinstance(partition, int):
        return Claim(("events", partition), None)
    return None


def of_output(record: Record, prefix: str, fleets: int) -> Claim | None:
    """Of a directive, result, report, alert or dead letter.

    Args:
        prefix: What full names of topics begin with.
        fleets: How many partitions the fleet log has.
    """
    events, fleet = prefix + "events", prefix + "fleet"
    headers = dict(record.headers)
    origin = headers.get(ORIGIN_HEADER)
    if origin is not None:
        return _of_origin(origin, events, fleet)
    value = value_of(record)
    cause = value.get("cause")
    if not isinstance(cause, dict) or not isinstance(cause.get("offset"), int):
        return None
    offset: int = cause["offset"]
    partition = value.get("partition")
    if value.get("topic") == events and isinstance(partition, int):
        return Claim(("events", partition), offset)
    name = value.get("fleet")
    if not isinstance(name, str):
        return None
    return Claim(("fleet", partition_of(name.encode(errors="replace"), fleets)), offset)


def _of_origin(origin: bytes, events: str, fleet: str) -> Claim | None:
    topic, _, rest = origin.decode(errors="replace").partition("/")
    partition, _, offset = rest.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    if topic == events:
        return Claim(("events", int(partition)), int(offset))
    return Claim(("fleet", int(partition)), int(offset)) if topic == fleet else None


def identity_of_fact(record: Record | Output) -> str:
    """A source position, or which partition's tick."""
    value = value_of(record)
    source = value.get("source")
    if isinstance(source, dict):
        return f"events/{source.get('partition')} at {source.get('offset')}.{source.get('index')}"
    return f"{value.get('type')} of events/{value.get('partition')} through {value.get('through')}"


def identity_of_output(record: Record | Output) -> str:
    """What it calls itself: ``ce_id``, or where a dead letter came from; else its value."""
    headers = dict(record.headers)
    name = headers.get("ce_id") or headers.get(ORIGIN_HEADER)
    if name is not None:
        return name.decode(errors="backslashreplace")
    return (record.value or b"")[:100].decode(errors="backslashreplace")


def of_another_version(record: Record | Output) -> bool:
    """Whether a record says that a coordinator of another version has written it: one that folds otherwise,
    or whose records are of a version that is not known here."""
    value = value_of(record)
    provenance, event = value.get("provenance"), value.get("event")
    fold = provenance.get("fold") if isinstance(provenance, dict) else FOLD_VERSION
    try:
        upcast(value, fleet_records.CHAINS)
        if isinstance(event, dict):
            upcast(event, events.CHAINS)
    except InvalidRecord:
        return True
    return fold != FOLD_VERSION
