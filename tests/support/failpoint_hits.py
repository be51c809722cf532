"""How often a short run comes by each failpoint."""

from __future__ import annotations

ONCE_A_START = {"start.connected", "restore.done", "revoke.begun", "revoke.saved", "stop.begun", "stop.saved"}
ONCE_A_TABLE = {"restore.fenced", "restore.changelog-read"}


def hits_of(name: str) -> int:
    """At least so often."""
    return 1 if name in ONCE_A_START else 2 if name in ONCE_A_TABLE else 4
