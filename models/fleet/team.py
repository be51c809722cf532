"""Who makes a coalition complete: what a task asks of its members together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import orjson

Capabilities: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One role of a coalition."""

    role: str
    capabilities: Capabilities
    count: int


@dataclass(frozen=True, slots=True)
class Team:
    """Either roles, each with so many members, or capabilities that the members cover together."""

    parts: tuple[Part, ...] = ()
    cover: Capabilities = frozenset()
    max_size: int = 0
    """Most members; with roles there are exactly so many."""

    @property
    def wanted(self) -> Capabilities:
        """All capabilities that some member is there for."""
        return self.cover.union(*(part.capabilities for part in self.parts))

    @property
    def least(self) -> int:
        """So many members it has at least: one alone might cover all capabilities, but roles are all played."""
        return self.max_size if self.parts else 1

    def admits(self, capabilities: Capabilities) -> bool:
        """Whether somebody with these capabilities could be of any use."""
        if self.parts:
            return any(capabilities.issuperset(part.capabilities) for part in self.parts)
        return not self.cover.isdisjoint(capabilities)

    def misfit(self, members: Sequence[tuple[Capabilities, str | None]]) -> str | None:
        """Why these, each with capabilities and a role, are no complete coalition; ``None`` if they are."""
        if self.parts:
            wanted = {part.role: part for part in self.parts}
            for capabilities, role in members:
                if role not in wanted:
                    return "role"
                if not capabilities.issuperset(wanted[role].capabilities):
                    return "capability"
            counts = Counter(role for _, role in members)
            return None if all(counts[part.role] == part.count for part in self.parts) else "members"
        if len(members) > self.max_size:
            return "members"
        if any(role is not None for _, role in members):
            return "role"
        together = frozenset[str]().union(*(capabilities for capabilities, _ in members))
        return None if together >= self.cover else "capability"

    def useful(self, capabilities: Capabilities) -> Capabilities:
        """Which of the capabilities count for the cover."""
        return capabilities & self.cover

    def missing(self, members: Sequence[tuple[Capabilities, str | None]]) -> Team | None:
        """What is left to find, a team of its own, beside members of these roles or useful capabilities; ``None``
        if they are complete."""
        if self.parts:
            counts = Counter(role for _, role in members)
            left = [Part(p.role, p.capabilities, p.count - counts[p.role]) for p in self.parts]
            left = [part for part in left if part.count > 0]
            return Team(tuple(left), max_size=sum(part.count for part in left)) if left else None
        together = frozenset[str]().union(*(capabilities for capabilities, _ in members))
        uncovered = self.cover - together
        return Team(cover=uncovered, max_size=self.max_size - len(members)) if uncovered else None

    def possible(self, agents: Iterable[tuple[Capabilities, int]]) -> bool:
        """Whether so many agents of each of these capabilities might do: what is surely in vain is told apart."""
        short = [part.count for part in self.parts]
        uncovered, total = self.cover, 0
        for capabilities, count in agents:
            uncovered = uncovered - capabilities
            total += count
            for number, part in enumerate(self.parts):
                if short[number] > 0 and capabilities.issuperset(part.capabilities):
                    short[number] -= count
            if not uncovered and max(short, default=0) <= 0 and (not short or total >= self.max_size):
                return True
        return False


@lru_cache(4096)
def team_of(coalition: bytes) -> Team:
    """The team that a task asks for, as its row has it."""
    request = orjson.loads(coalition)
    roles = request.get("roles")
    if roles:
        parts = tuple(Part(r["role"], frozenset(r["capabilities"]), r["count"]) for r in roles)
        return Team(parts, max_size=sum(part.count for part in parts))
    cover = frozenset(request["cover"])
    return Team(cover=cover, max_size=request.get("max_size") or len(cover))
