"""From a record's bytes and headers to an event, CloudEvents included. What it does comes later."""

from __future__ import annotations

import re

from models.codec import InvalidRecord, decode_object
from models.events import Event, validate_event
from models.fold import Headers

_SPEC_VERSION = re.compile(rb"1(\.\d{1,9})?")


def read_event(value: bytes | None, headers: Headers) -> tuple[Event, int]:
    """The event that a record stands for, and how many headers contradict its body.

    Raises:
        InvalidRecord: if it stands for none.
    """
    body = decode_object(value)
    contradictions = _apply_cloud_event(body, headers) if headers else 0
    return validate_event(body), contradictions


def last_header(headers: Headers, name: str) -> bytes | None:
    """The value of the last header of that name, which is the one that Kafka's clients take as well."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def _apply_cloud_event(body: dict[str, object], headers: Headers) -> int:
    """CloudEvents in binary mode: ``ce_type`` and ``ce_time`` are defaults, and the body always wins."""
    version = last_header(headers, "ce_specversion")
    if version is None:
        return 0
    if not _SPEC_VERSION.fullmatch(version):
        raise InvalidRecord("cloudevents", f"ce_specversion is {version[:32]!r}; only 1.x is understood")
    contradictions = 0
    for header, field in (("ce_type", "type"), ("ce_id", "event_id")):
        said = last_header(headers, header)
        if said is not None and field in body and body[field] != said.decode(errors="replace"):
            contradictions += 1
    for header, field in (("ce_type", "type"), ("ce_time", "time")):
        said = last_header(headers, header)
        if said is not None and field not in body:
            body[field] = said.decode(errors="replace")
    return contradictions
