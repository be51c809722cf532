"""Moments, as people name them: now, a cut, a time, an offset of the fleet log, the directive that it is about.

A moment is resolved once, to a cut; what is shown then is of that cut, and says so. ``docs/audit.md`` tells the
grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from models.cut import BadCut, Cut
from streams.errors import ConfigurationError
from streams.offsets import END, Start, parse_span

FORMS = (
    "now, a time (2026-11-22T10:00Z: what had arrived by then; event:2026-11-22T10:00Z: what had happened by then "
    "and was heard of in time), a cut, the id of a directive (just before it), or an offset of the fleet log: "
    "beginning, end, <n>, -<n>, s@<epoch ms>"
)
_DIRECTIVE = re.compile(r"(?P<fleet>.+)\.(?P<offset>\d{1,18})\.(?P<index>\d{1,9})")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class InLog:
    """A place of the fleet's partition of the fleet log: the first record that is not part of it."""

    start: Start


@dataclass(frozen=True, slots=True)
class EventTime:
    """The first moment at which all that happened by then was heard of, or counts as late."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class BeforeDirective:
    """Just before the record of the fleet log that put the directive out."""

    fleet: str
    offset: int


Moment: TypeAlias = Cut | InLog | EventTime | BeforeDirective
NOW = InLog(END.start)
BEGINNING = InLog(Start("beginning"))


def parse_moment(text: str) -> Moment:
    """The moment that a text names.

    Raises:
        ConfigurationError: if it names none; the message says what would.
    """
    if text in ("now", ""):
        return NOW
    kind, _, time = text.partition(":")
    if kind == "event":
        return EventTime(_milliseconds(time, text))
    if _DATE.match(text):
        return InLog(Start("time", _milliseconds(text, text)))
    if "/" in text:
        try:
            return Cut.parse(text)
        except BadCut as error:
            raise ConfigurationError(str(error)) from None
    directive = before_directive(text)
    if directive is not None:
        return directive
    try:
        span = parse_span([text], END.start)
    except ConfigurationError:
        raise ConfigurationError(f"{text!r} names no moment; give {FORMS}") from None
    if span.until is not None:
        raise ConfigurationError(f"{text!r}: give the moment itself, as s@<epoch ms>")
    return InLog(span.start)


def require_cluster(moment: Moment, cluster: str | None) -> None:
    """Refuse a cut of another cluster."""
    if isinstance(moment, Cut) and moment.cluster and cluster and moment.cluster != cluster:
        raise ConfigurationError(f"the cut is of the cluster {moment.cluster}; this one is {cluster}")


def before_directive(text: str) -> BeforeDirective | None:
    """The moment before a directive, if the text can be the id of one."""
    found = _DIRECTIVE.fullmatch(text)
    return None if found is None else BeforeDirective(found["fleet"], int(found["offset"]))


def _milliseconds(time: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no time; one looks like 2026-11-22T10:00Z") from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"{text!r} names no time zone; for UTC write {time}Z")
    return round(moment.timestamp() * 1_000)


def said_of(moment: Moment) -> Mapping[str, object]:
    """What an answer says of the time that it was asked for: by arrival, or by events' own times."""
    if isinstance(moment, EventTime):
        return {"as_of": {"kind": "event", "time": moment.milliseconds / 1_000}}
    if isinstance(moment, InLog) and moment.start.kind == "time":
        return {"as_of": {"kind": "arrival", "time": moment.start.number / 1_000}}
    return {}
