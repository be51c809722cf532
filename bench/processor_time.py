"""The processor time of other processes, as Linux tells it."""

from __future__ import annotations

import os
from pathlib import Path


def of_process(pid: int) -> float | None:
    """Seconds that a process has used so far, all its threads; ``None`` if it cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
