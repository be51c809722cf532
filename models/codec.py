"""Bytes to JSON value and back, under the limits of the wire contract.

What a value *means* is decided in :mod:`models.events`; here only what is JSON at all, and of which size.
The contract is stricter than any parser at hand: no duplicate keys, no integer beyond ±(2^53 - 1), no NaN or
infinity, no lone surrogate, no byte order mark, at most 32 levels deep, at most 1 MiB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

MAX_VALUE_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_INTEGER = (1 << 53) - 1
_NO_MEMORY = "Not enough memory"
"""So orjson begins what it says of a machine, not of a record: elsewhere that record may be a good one."""
_FLOAT_THAT_MAY_BE_AN_INTEGER = float(1 << 63)


class InvalidRecord(ValueError):
    """A record that is no valid record: it goes to the dead letters with ``code`` and ``detail``.

    Attributes:
        code: ``bytes``, ``limits``, ``schema``, ``unknown_type``, ``version`` or ``cloudevents``; stable, for
            machines.
        detail: One line for people: which field, what is wrong with it, what would be right.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def decode_object(
    raw: bytes | None, *, max_bytes: int = MAX_VALUE_BYTES, max_depth: int = MAX_DEPTH
) -> dict[str, object]:
    """Parse one JSON object.

    Raises:
        InvalidRecord: if ``raw`` is no JSON object, or one beyond the limits.
        MemoryError: if there is no memory to tell.
    """
    if raw is None:
        raise InvalidRecord("bytes", "the record has no value; send a JSON object")
    if len(raw) > max_bytes:
        raise InvalidRecord("limits", f"the value has {len(raw)} bytes; at most {max_bytes} are allowed")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith(_NO_MEMORY):
            raise MemoryError(error.msg) from None
        raise InvalidRecord("bytes", f"the value is not JSON: {error}") from None
    if type(value) is not dict:
        raise InvalidRecord("schema", f"the value is a JSON {_json_type(value)}; send a JSON object")
    strings = _check(value, max_depth)
    # Every string of a text without escapes costs exactly two quotes, so a pair too many betrays a repeated
    # key that the parser swallowed. Escapes make counting unsafe: then the slow, exact way decides.
    if raw.count(b'"') != 2 * strings or b"\\" in raw:
        _refuse_duplicate_keys(raw)
    return value


def object_in(raw: bytes | None) -> dict[str, Any] | None:
    """The JSON object in the bytes, or ``None`` if there is none. It knows no limits: it is for those who read
    what has been written already, and look."""
    try:
        value = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def encode(value: object) -> bytes:
    """Compact JSON, keys in the order in which they were put in: equal values give equal bytes."""
    return orjson.dumps(value)


def _check(value: dict[str, Any] | list[Any], levels: int) -> int:
    """Check the numbers and that at most ``levels`` are nested; return how many strings (keys too) it holds."""
    if levels == 0:
        raise InvalidRecord("limits", f"the value is nested deeper than {MAX_DEPTH} levels")
    strings = 0
    items: Iterable[Any] = value
    if type(value) is dict:
        strings = len(value)
        items = value.values()
    for item in items:
        kind = type(item)
        if kind is str:
            strings += 1
        elif kind is float:
            if not -_FLOAT_THAT_MAY_BE_AN_INTEGER < item < _FLOAT_THAT_MAY_BE_AN_INTEGER:
                # orjson turns integers beyond 64 bits into floats: a count that cannot match forces the exact way.
                strings -= 1 << 60
        elif kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise InvalidRecord("limits", f"integer {item} is beyond ±(2^53 - 1); send it as a string")
        elif kind is dict or kind is list:
            strings += _check(item, levels - 1)
    return strings


def _refuse_duplicate_keys(raw: bytes) -> None:
    def pairs(items: Iterable[tuple[str, object]]) -> None:
        seen = set()
        for key, _ in items:
            if key in seen:
                raise InvalidRecord("bytes", f"the key {key[:64]!r} appears twice in one object")
            seen.add(key)

    def integer(text: str) -> int:
        if len(text) > 17 or not -MAX_INTEGER <= int(text) <= MAX_INTEGER:
            raise InvalidRecord("limits", f"integer {text[:32]} is beyond ±(2^53 - 1); send it as a string")
        return 0

    try:
        json.loads(raw, object_pairs_hook=pairs, parse_int=integer)
    except RecursionError:
        # Only under a repeated key, whose first value the check above never saw.
        raise InvalidRecord("limits", f"the value is nested deeper than {MAX_DEPTH} levels") from None


def _json_type(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
