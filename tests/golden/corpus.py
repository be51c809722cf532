"""The golden logs: histories of every released version, each an archive with what was found in it when it was
made.

``python -m tests.golden.corpus VERSION`` lives them once more and writes them; for a version that is released they
stay as they are.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from streams.audit.archive import Archive
from streams.audit.export import write
from streams.audit.history import History, look_at
from streams.audit.verify import Verification

ROOT = Path(__file__).parent
EXPECTED = "expected.json"
_LASTING = ("verified", "cut", "counts", "repeats", "accounting", "findings")
"""What a report of any version has."""


def logs() -> list[Path]:
    """The directories of all golden logs."""
    return sorted(path.parent for path in ROOT.glob(f"*/*/{EXPECTED}"))


def expected(log: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((log / EXPECTED).read_text())
    return found


def found_in(history: History) -> dict[str, Any]:
    """What a verification finds, and the digest of the state of each partition of the fleet log at the end."""
    verification = Verification(history)
    report = asyncio.run(verification.run()).on_wire()
    return {"report": {name: report[name] for name in _LASTING}, "states": verification.states}


def digest_of(found: Mapping[str, Any]) -> str:
    """Of all of that."""
    return sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def digests() -> list[str]:
    """Of each golden log, as this process finds it."""
    return [digest_of(found_in(Archive.open(log))) for log in logs()]


def make(version: str) -> None:
    """Live the golden lives with what there is now, and write them down."""
    from tests.golden.life import Life

    for name, misled_at in (("life", None), ("wrong-decision", 20)):
        directory = ROOT / version / name
        shutil.rmtree(directory, ignore_errors=True)
        recorded = Life(seed=7, agents=12, misled_at=misled_at).live(seconds=60)

        async def archive(history: History = recorded, directory: Path = directory) -> None:
            await write(history, await look_at(history), directory, f"coordinator-agent {version}")

        asyncio.run(archive())
        found = found_in(Archive.open(directory))
        (directory / EXPECTED).write_text(json.dumps(found, indent=1) + "\n")
        print(f"{directory.relative_to(ROOT)}: {digest_of(found)}", file=sys.stderr)


if __name__ == "__main__":
    make(*sys.argv[1:])
