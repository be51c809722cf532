"""The short way of what agents say all day: plain heartbeats, metric reports and answers of agents that are alive.

Nine of ten records are such, and the long way (any JSON object, a validated event, a function for each kind)
costs several times as much. What this way takes it decides exactly as the long way would; what it does not take it
leaves untouched to the long way. So it may decline at any doubt, and it does: unknown fields, escapes, changes of
status, agents that are new, suspected, restarted. That both ways give equal rows, outcomes and outputs is tested
on random histories and crooked records; :mod:`models.events` stays the contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeAlias

import msgspec

from models.codec import MAX_INTEGER, MAX_VALUE_BYTES
from models.events import DEFAULT_FLEET, ResponseOutcome, Status
from models.fields import ID_PATTERN, LAST_MILLISECOND
from models.fold import Record
from models.ingress.agents import MAX_JUMP
from models.ingress.fleets import Fleets
from models.ingress.liveness import beat
from models.ingress.outbox import Outbox
from models.ingress.rows import ClockRow, Outcome, Tables
from models.ingress.windows import LOAD, Windows

_Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
_Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_BIG = float(MAX_INTEGER)
"""From here on a number may have been written as an integer that the wire contract forbids."""
_DEFAULT_FLEET = f"{DEFAULT_FLEET}/"
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]
"""As numbers, which are looked for ten times as fast as bytes."""
_LAST_SECOND = LAST_MILLISECOND // 1000
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


ShortWay: TypeAlias = Callable[[Record, ClockRow], Outcome | None]
"""Folds the record and says what became of it; or ``None``, and nothing has changed."""


def short_way(tables: Tables, fleets: Fleets, windows: Windows, outbox: Outbox) -> ShortWay:
    """The short way over these tables. A closure: looking up its parts each time would cost a tenth of it."""
    agents = tables.agents
    rows = agents.rows
    states = fleets.states
    names: dict[str, None] = {}
    """Metrics whose names are ids: matching the pattern for each of them would cost more than all else."""

    def is_id(name: str) -> bool:
        if _ID.fullmatch(name) is None:
            return False
        if len(names) < _NAMES_REMEMBERED:
            names[name] = None
        return True

    def take(record: Record, clock: ClockRow) -> Outcome | None:
        value = record.value
        if value is None or len(value) > MAX_VALUE_BYTES or _BACKSLASH in value or record.headers:
            return None
        try:
            said = _decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        # Without escapes each string, keys too, costs two quotes; more of them are a repeated key, or a null.
        if said.fleet is None:
            quotes = 8
            key = _DEFAULT_FLEET + said.agent_id
        else:
            quotes = 12
            key = f"{said.fleet}/{said.agent_id}"
        row = rows.get(key)  # only valid ids have rows, so that they need no other check
        if row is None or row.state != "alive":
            return None
        if (incarnation := said.incarnation) is not None:
            quotes += 2
            if incarnation != row.incarnation:
                return None
        if (seq := said.seq) is not None:
            quotes += 2
            if not row.seq < seq <= row.seq + MAX_JUMP:
                return None
        if (time := said.time) is not None:
            quotes += 2
            if not 0 <= time <= _LAST_SECOND:
                return None
        samples = None
        kind = type(said)
        if kind is _Heartbeat:
            quotes += 4
            if said.status != row.status:
                return None
            if (load := said.current_load) is not None:
                quotes += 2
                samples = {LOAD: load}
        elif kind is _Metrics:
            samples = said.metrics
            quotes += 2 + 2 * len(samples)
            for name, number in samples.items():
                if not (name in names or is_id(name)) or not -_BIG < number < _BIG:
                    return None
        else:
            quotes += 8 + 2 * ((said.epoch is not None) + (said.progress is not None))
        if value.count(_QUOTE) != quotes:
            return None

        outcome: Outcome = "applied"
        log_time = clock.log_time
        fleet = states[row.fleet]
        if samples is not None:
            outbox.begin(record.offset, log_time)
            moment = log_time if time is None else round(time * 1000)
            observed = windows.observe(key, row, fleet, moment, log_time, samples)
            if observed == "full":
                return None
            if observed == "late" and kind is _Metrics:
                outcome = "late"
        elif kind is _Answer:
            outbox.begin(record.offset, log_time)
            outbox.fact("directive_response", row.fleet, value, ())
        agents.dirty[key] = None
        beat(row, log_time, clock.ticks, fleet.policy.liveness.memory)
        if seq is not None:
            row.seq = seq
        return outcome

    return take
