"""Which code it is that verifies: digests that two auditors can compare."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import orjson

_ROOT = Path(__file__).parents[2]
_DECIDING = ("models", "streams/planner", "streams/audit")
"""What decisions, and verdicts on them, are made of."""


def digest_of_code() -> str:
    """The SHA-256 of the source of what decides: of each file its path, a zero byte, its bytes, a zero byte, in
    the order of the paths."""
    found = sha256()
    files = (path for part in _DECIDING for path in (_ROOT / part).rglob("*.py"))
    for path in sorted(files, key=lambda path: path.relative_to(_ROOT).as_posix()):
        found.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def digest_of_json(value: object) -> str:
    """The SHA-256 of a value as compact JSON with sorted names."""
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
