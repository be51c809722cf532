"""What was no valid record, kept: the form of a record in ``coordinator.dead-letters``, and its largest size.

Which records come here is decided elsewhere.
"""

from __future__ import annotations

from models.codec import InvalidRecord
from models.fold import Headers, Output, Record

ORIGIN_HEADER = "coord-origin"
ERROR_HEADER = "coord-error"
CUT_HEADER = "coord-cut"
"""Only on a letter that had to be cut: how many bytes of key, value and headers the record had."""

MAX_ERROR_LENGTH = 1_024
"""Characters. What was wrong may quote names of the sender's choice, of any length."""

MAX_KEPT_BYTES = (4 << 20) - (64 << 10)
"""Key, value and headers of a record that is kept whole: what the topic takes, less room for our own headers.

Senders may compress. A record of a few kilobytes on the wire can have any size once it is read, and a letter
that the topic does not take would stop its partition for good.
"""

_SHARE = 1 << 20
"""Bytes that key and headers may each take of a letter that has to be cut; the rest is the value's."""
_HEADER_OVERHEAD = 16
"""The most bytes that the lengths of one header take."""


def dead_letter(record: Record, origin: str, error: InvalidRecord) -> Output:
    """``record`` as it came, and behind its headers where it stood and what is wrong with it."""
    key, value, headers = record.key, record.value, record.headers
    size = record_size(record)
    ours = [
        (ORIGIN_HEADER, origin.encode()),
        (ERROR_HEADER, f"{error.code}: {error.detail}"[:MAX_ERROR_LENGTH].encode(errors="replace")),
    ]
    if size > MAX_KEPT_BYTES:
        key = key and key[:_SHARE]
        headers = _first(headers, _SHARE)
        value = value and value[: MAX_KEPT_BYTES - len(key or b"") - headers_size(headers)]
        ours.append((CUT_HEADER, b"%d" % size))
    return Output("dead-letters", key, value, (*headers, *ours))


def record_size(record: Record) -> int:
    """Bytes that key, value and headers take when they are written uncompressed, at most."""
    return len(record.key or b"") + len(record.value or b"") + headers_size(record.headers)


def headers_size(headers: Headers) -> int:
    return sum(
        len(name.encode(errors="replace")) + len(value or b"") + _HEADER_OVERHEAD for name, value in headers
    )


def _first(headers: Headers, room: int) -> Headers:
    """The headers up to the first that does not fit."""
    kept = []
    for header in headers:
        room -= headers_size((header,))
        if room < 0:
            break
        kept.append(header)
    return tuple(kept)
