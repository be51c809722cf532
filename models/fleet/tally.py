"""Counts by two names: how much of each resource a tenant holds, how many tasks of a group an agent has."""

from __future__ import annotations

from collections.abc import Mapping


class Tally:
    """What is nothing is not there.

    Args:
        base: What there is already: a draft on top of it can be filled without changing it.
    """

    def __init__(self, base: Tally | None = None) -> None:
        self._base = base
        self._counts: dict[str, dict[str, int]] = {}

    def of(self, key: str) -> Mapping[str, int]:
        own = self._counts.get(key)
        if own is None and self._base is not None:
            return self._base.of(key)
        return own or {}

    def add(self, key: str, name: str, more: int) -> None:
        """So much more, or less."""
        own = self._counts.get(key)
        if own is None:
            own = self._counts[key] = {} if self._base is None else dict(self._base.of(key))
        left = own.get(name, 0) + more
        if left:
            own[name] = left
        else:
            own.pop(name, None)
            if not own and self._base is None:
                del self._counts[key]

    def draft(self) -> Tally:
        return Tally(self)

    def as_dict(self) -> dict[str, dict[str, int]]:
        return self._counts
