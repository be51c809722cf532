"""The short way of what agents say all day: plain heartbeats, metric reports and answers of agents that are alive.

Nine of ten records are such, and the long way (any JSON object, a validated event, a function for each kind)
costs several times as much. What this way takes it decides exactly as the long way would; what it does not take it
leaves untouched to the long way. So it may decline at any doubt, and it does: unknown fields, escapes, changes of
status, agents that are new, suspected, restarted. That both ways give equal rows, outcomes and outputs is tested
on random histories and crooked records; :mod:`models.events` stays the contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias

import msgspec

from models.codec import MAX_INTEGER, MAX_VALUE_BYTES
from models.events import DEFAULT_FLEET, ResponseOutcome, Status
from models.fields import ID_PATTERN, LAST_MILLISECOND
from models.fold import Record
from models.ingress.agents import MAX_JUMP
from models.ingress.fleets import Fleets
from models.ingress.liveness import LONGEST_GAP, MAY_BE_SILENT
from models.ingress.outbox import Outbox
from models.ingress.rows import ClockRow, Outcome, Tables
from models.ingress.windows import LOAD, Windows

_Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
_Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_BIG = float(MAX_INTEGER)
_SMALL = -_BIG
"""From here on a number may have been written as an integer that the wire contract forbids."""
_DEFAULT_FLEET = f"{DEFAULT_FLEET}/"
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]
"""As numbers, which are looked for ten times as fast as bytes."""
_LAST_SECOND = float(LAST_MILLISECOND // 1000)
_ID = re.compile(ID_PATTERN)
_NAMES_REMEMBERED = 4_096


class _Said(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    """``None`` is a field that is not there. One that is null has more quotes than it should, and is declined."""

    agent_id: str
    fleet: str | None = None
    time: int | float | None = None
    incarnation: _Counter | None = None
    seq: _Counter | None = None


class _Heartbeat(_Said, tag="status_update", kw_only=True):
    status: Status
    current_load: _Amount | None = None


class _Metrics(_Said, tag="metric_report", kw_only=True):
    metrics: Annotated[dict[str, float], msgspec.Meta(max_length=256)]


class _Answer(_Said, tag="directive_response", kw_only=True):
    directive_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    outcome: ResponseOutcome
    epoch: _Counter | None = None
    progress: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


_decode = msgspec.json.Decoder(_Heartbeat | _Metrics | _Answer).decode


class _Declined(Exception):
    """Not for the short way; nothing has changed."""


_DECLINED = (_Declined, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Of the last: nested a thousand levels deep."""

ShortWay: TypeAlias = Callable[[Sequence[Record], ClockRow], None]
"""Folds records, and counts in the clock's row what became of them."""


def short_way(
    tables: Tables,
    fleets: Fleets,
    windows: Windows,
    outbox: Outbox,
    move_time: Callable[[int], None],
    long_way: Callable[[Record], Outcome],
) -> ShortWay:
    """The short way over these tables, with the long way for all that it declines.

    A closure with one loop, not a method for each step: calls and lookups would cost a third of it.

    Args:
        tables: The fold's state.
        fleets: Derived from it.
        windows: Derived from it.
        outbox: Takes what comes of the records.
        move_time: Called with a log time above the clock's, before the record that brings it.
        long_way: Folds any record.
    """
    agents = tables.agents
    rows = agents.rows
    states = fleets.states
    observe, forward = windows.observe, outbox.answer
    metrics: dict[str, None] = {}
    """Metrics whose names are ids: matching the pattern for each of them would cost more than all else."""

    def is_id(name: str) -> bool:
        if _ID.fullmatch(name) is None:
            return False
        if len(metrics) < _NAMES_REMEMBERED:
            metrics[name] = None
        return True

    def fold(records: Sequence[Record], clock: ClockRow) -> None:
        outcomes = clock.outcomes
        dirty = agents.dirty  # checkpoints, which begin a new one, happen between batches only
        log_time, ticks = clock.log_time, clock.ticks
        applied = late = 0
        for record in records:
            if record.timestamp > log_time:
                move_time(record.timestamp)
                log_time = clock.log_time
            try:
                value = record.value
                if value is None or len(value) > MAX_VALUE_BYTES or _BACKSLASH in value or record.headers:
                    raise _Declined
                said = _decode(value)
                # Without escapes each string, keys too, costs two quotes; more of them are a repeated key, or a
                # null.
                if said.fleet is None:
                    quotes = 8
                    name = DEFAULT_FLEET
                    key = _DEFAULT_FLEET + said.agent_id
                else:
                    quotes = 12
                    name = said.fleet
                    key = f"{name}/{said.agent_id}"
                row = rows.get(key)  # only valid ids have rows, so that they need no other check
                if row is None or row.state != "alive":
                    raise _Declined
                incarnation = said.incarnation
                if incarnation is not None:
                    quotes += 2
                    if incarnation != row.incarnation:
                        raise _Declined
                seq = said.seq
                if seq is not None:
                    quotes += 2
                    if not row.seq < seq <= row.seq + MAX_JUMP:
                        raise _Declined
                time = said.time
                if time is not None:
                    quotes += 2
                    if not 0.0 <= time <= _LAST_SECOND:
                        raise _Declined
                samples = None
                kind = type(said)
                if kind is _Heartbeat:
                    quotes += 4
                    if said.status != row.status:
                        raise _Declined
                    load = said.current_load
                    if load is not None:
                        quotes += 2
                        samples = {LOAD: load}
                elif kind is _Metrics:
                    samples = said.metrics
                    quotes += 2 + 2 * len(samples)
                    for metric, number in samples.items():
                        if not (metric in metrics or is_id(metric)) or not _SMALL < number < _BIG:
                            raise _Declined
                else:
                    quotes += 8 + 2 * ((said.epoch is not None) + (said.progress is not None))
                if value.count(_QUOTE) != quotes:
                    raise _Declined

                fleet = states[name]
                if samples is not None:
                    outbox.begin(record.offset, log_time)
                    moment = log_time if time is None else round(time * 1000)
                    observed = observe(key, row, fleet, moment, log_time, samples)
                    if observed != "observed":
                        if observed == "full":
                            raise _Declined
                        if kind is _Metrics:
                            late += 1
                            applied -= 1  # which it counts for, further down
                elif kind is _Answer:
                    forward(record.offset, log_time, name, value)
            except _DECLINED:
                outbox.begin(record.offset, log_time)
                outcomes[long_way(record)] += 1
                ticks = clock.ticks
                continue
            dirty[key] = None
            # As ``liveness.beat`` does it for an agent that is alive.
            if row.beat_tick != ticks:
                row.beat_tick = ticks
            gap = log_time - row.beat_time
            if gap > 0:
                row.beat_time = log_time
                if row.status not in MAY_BE_SILENT:
                    beats, memory = row.beats, fleet.memory
                    if beats < memory:
                        row.beats = beats = beats + 1
                    elif beats > memory:
                        row.beats = beats = memory
                    longest = LONGEST_GAP * row.heartbeat_interval
                    mean = row.gap_mean
                    difference = (gap if gap < longest else longest) - mean
                    step = difference / (beats + 1)
                    row.gap_mean = mean + step
                    row.gap_variance = (row.gap_variance + difference * step) * (beats / (beats + 1))
            if seq is not None:
                row.seq = seq
            applied += 1
        outcomes["applied"] += applied
        outcomes["late"] += late

    return fold
