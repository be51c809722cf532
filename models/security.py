"""Who may say what: three functions that the folds call and a deployment may replace. Open by default.

They must be pure and total like the folds themselves: what they answer has to follow from the record alone,
or from what the log said before, never from a clock, a file or the network, or a replay would differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.events import FleetEvent
from models.fold import Headers


def anonymous(value: bytes | None, headers: Headers) -> str | None:
    """Nobody in particular wrote this record."""
    return None


def everything_allowed(author: str | None, event: FleetEvent) -> str | None:
    """No reason to refuse anything from anybody."""
    return None


def plain(value: bytes | None) -> bytes | None:
    """The value as it came: nothing is encrypted."""
    return value


@dataclass(frozen=True, slots=True)
class Security:
    """The three seams."""

    author: Callable[[bytes | None, Headers], str | None] = anonymous
    """The proven identity of a record's author, or ``None``; from its value and headers."""
    refusal: Callable[[str | None, FleetEvent], str | None] = everything_allowed
    """Why this author may not say this, as one stable word such as ``forbidden``; ``None`` if it may."""
    opened: Callable[[bytes | None], bytes | None] = plain
    """The JSON within a stored value; :class:`models.codec.InvalidRecord` if it cannot be opened."""


OPEN = Security()
"""Everybody may say everything: for networks whose members trust each other."""
