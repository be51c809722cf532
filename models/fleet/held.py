"""How much of each agent the ledger held, span by span: what an agent's own reports are compared with.

Spans are those of the fleet's windows, but of log time: from one multiple of ``windows.size`` to the next.
"""

from __future__ import annotations

from models.fleet.rows import AgentRow

SPANS = 8
"""Spans that are remembered, the open one included: windows that close later are compared with nothing."""


def count(row: AgentRow, slots: int, now: int, size: int) -> None:
    """So many of its slots have been held since this was called last."""
    since = row.held_at
    if now <= since:
        return
    row.held_at = now
    end = since - since % size + size
    held = row.held or [0]
    if now < end:
        held[0] += slots * (now - since)
    else:
        held[0] += slots * (end - since)
        whole, rest = divmod(now - end, size)
        held = [slots * rest, *[slots * size] * min(whole, SPANS), *held][:SPANS]
    row.held = held


def mean(row: AgentRow, start: int, end: int) -> float | None:
    """How many slots were held on average in a span that has passed; ``None`` if that is not remembered."""
    size = end - start
    opened = row.held_at - row.held_at % size
    age, odd = divmod(opened - start, size)
    if odd or not 0 < age < len(row.held):
        return None
    return row.held[age] / size
