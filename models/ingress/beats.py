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
from operator import attrgetter, countOf
from typing import Annotated, TypeAlias

import msgspec
import numpy as np

from models.codec import MAX_INTEGER, MAX_VALUE_BYTES
from models.events import DEFAULT_FLEET, ResponseOutcome, Status
from models.fields import ID_PATTERN, LAST_MILLISECOND
from models.fleet_records import LOAD
from models.fold import Record
from models.ingress.agents import MAX_JUMP
from models.ingress.cells import MANY
from models.ingress.fleets import Fleets, FleetState
from models.ingress.liveness import LONGEST_GAP, MAY_BE_SILENT
from models.ingress.outbox import Outbox
from models.ingress.rows import ClockRow, Outcome, Tables
from models.ingress.windows import Windows

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


_Plain: TypeAlias = _Heartbeat | _Metrics | _Answer
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Of the last: nested a thousand levels deep."""
_fleet, _incarnation, _seq, _time, _headers = map(
    attrgetter, ("fleet", "incarnation", "seq", "time", "headers")
)
_FEW = 16
"""So many records and more are read faster together than one by one."""


def read_plain(records: Sequence[Record]) -> Sequence[_Plain | None]:
    """What the records say, as far as they are of the plain kinds, and there is nothing odd in their bytes.

    Without escapes each string, keys too, costs two quotes; more of them are a repeated key, or a null. There are
    never less, so that a sum tells whether any record has more, and numpy counts those of a thousand records at
    once.
    """
    if len(records) >= _FEW:
        values = [record.value for record in records]
        try:
            whole = b"".join(values)  # type: ignore[arg-type]
            if (
                _BACKSLASH not in whole
                and max(map(len, values)) <= MAX_VALUE_BYTES  # type: ignore[arg-type]
                and not any(map(_headers, records))
            ):
                every = list(map(_decode, values))  # type: ignore[arg-type]
                if _quotes(every) == np.count_nonzero(np.frombuffer(whole, np.uint8) == _QUOTE):
                    return every
        except (TypeError, *_UNREADABLE):
            pass  # one of them is odd: a null, for the first of these
    return [_read_one(record) for record in records]


def _read_one(record: Record) -> _Plain | None:
    value = record.value
    if value is None or len(value) > MAX_VALUE_BYTES or _BACKSLASH in value or record.headers:
        return None
    try:
        said = _decode(value)
    except _UNREADABLE:
        return None
    return said if value.count(_QUOTE) == _quotes([said]) else None


def _quotes(every: Sequence[_Plain]) -> int:
    """How many quotes they have all together, if nothing in them is odd."""
    loads = [one.current_load for one in every if type(one) is _Heartbeat]
    reports = [len(one.metrics) for one in every if type(one) is _Metrics]
    count, beats, metrics = len(every), len(loads), len(reports)
    quotes = 4 * (count - countOf(map(_fleet, every), None))
    quotes += 2 * (count - countOf(map(_incarnation, every), None))
    quotes += 2 * (count - countOf(map(_seq, every), None))
    quotes += 2 * (count - countOf(map(_time, every), None))
    quotes += 8 * count + 4 * beats + 2 * (beats - loads.count(None)) + 2 * metrics + 2 * sum(reports)
    if count > beats + metrics:
        answers = [(one.epoch, one.progress) for one in every if type(one) is _Answer]
        quotes += sum(12 - 2 * answer.count(None) for answer in answers)
    return quotes


class _Declined(Exception):
    """Not for the short way; nothing has changed."""


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
    observe, layouts, forward = windows.observe, windows.layouts, outbox.answer
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
        # Checkpoints, which begin new ones, happen between batches only.
        dirty, dirty_fleets = agents.dirty, tables.fleets.dirty
        log_time, ticks = clock.log_time, clock.ticks
        applied = late = 0
        here: FleetState | None = None
        """The fleet whose window is at hand in the next ones; ``None`` if they may have changed."""
        start = end = oldest = latest = newest = 0
        for record, said in zip(records, read_plain(records), strict=True):
            if record.timestamp > log_time:
                move_time(record.timestamp)
                log_time = clock.log_time
                here = None
            try:
                if said is None:
                    raise _Declined
                name = said.fleet
                if name is None:
                    name = DEFAULT_FLEET
                    key = _DEFAULT_FLEET + said.agent_id
                else:
                    key = f"{name}/{said.agent_id}"
                row = rows.get(key)  # only valid ids have rows, so that they need no other check
                if row is None or row.state != "alive":
                    raise _Declined
                incarnation = said.incarnation
                if incarnation is not None and incarnation != row.incarnation:
                    raise _Declined
                seq = said.seq
                if seq is not None and not row.seq < seq <= row.seq + MAX_JUMP:
                    raise _Declined
                time = said.time
                if time is not None and not 0.0 <= time <= _LAST_SECOND:
                    raise _Declined
                samples = None
                if type(said) is _Heartbeat:
                    if said.status != row.status:
                        raise _Declined
                    load = said.current_load
                    if load is not None:
                        samples = {LOAD: load}
                elif type(said) is _Metrics:
                    samples = said.metrics
                    for metric, number in samples.items():
                        if not (metric in metrics or is_id(metric)) or not _SMALL < number < _BIG:
                            raise _Declined
                fleet = states[name]
                if samples is not None:
                    moment = log_time if time is None else round(time * 1000)
                    if fleet is not here:
                        here, start, cells = fleet, fleet.start, fleet.cells
                        lateness, fleet_row = fleet.max_lateness, fleet.row
                        end = min(fleet.end, fleet.next_close + lateness)
                        oldest, latest = max(0, log_time - lateness), log_time + fleet.max_skew
                        newest = fleet_row.watermark + lateness
                        places, values, moments = cells.places, cells.values, cells.moments
                    at = oldest if moment < oldest else latest if moment > latest else moment
                    # What ``Windows.observe`` does where it opens and closes no window, as nearly always.
                    window, waiting, taken = row.window, len(values), False
                    if window is not None and window.start == start and start <= at < end:
                        layout, first = layouts.get(window.metrics), window.cells
                        if layout is not None and isinstance(first, int):
                            for metric, number in samples.items():
                                cell = layout.get(metric)
                                if cell is None:
                                    break
                                places.append(first + cell)
                                values.append(number)
                            else:
                                taken = True
                    if taken:
                        moments += [at - start] * len(samples)
                        if waiting > MANY:
                            cells.add_waiting()
                        if at > newest:
                            newest = at
                            fleet_row.watermark = at - lateness
                            dirty_fleets[name] = None
                    else:
                        del places[waiting:], values[waiting:]
                        here = None
                        outbox.begin(record.offset, log_time)
                        observed = observe(key, row, fleet, moment, log_time, samples)
                        if observed != "observed":
                            if observed == "full":
                                raise _Declined
                            if type(said) is _Metrics:
                                late += 1
                                applied -= 1  # which it counts for, further down
                elif type(said) is _Answer:
                    forward(record.offset, log_time, name, record.value or b"")
            except _Declined:
                outbox.begin(record.offset, log_time)
                outcomes[long_way(record)] += 1
                ticks = clock.ticks
                here = None
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
