"""One record of a topic, as a line for people or as JSON for scripts. What the words mean is in the contract."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import orjson

from streams.cli.console import STYLES, clock, compact, duration, shortened

if TYPE_CHECKING:
    from rich.text import Text

    from streams.reader import Stored

_LONGEST = 2_000
"""Characters of a value that are worth printing on one line."""


def as_json(record: Stored, prefix: str) -> dict[str, object]:
    """The whole record.

    ``value`` is the JSON value. Where a value is no JSON its text stands in ``value_text`` instead, or in
    ``value_base64`` if it is no UTF-8 either; keys and headers likewise, so that nothing is ever lost.
    """
    shown: dict[str, object] = {
        "topic": prefix + record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
    }
    shown |= _text("key", record.key)
    shown["headers"] = [{"name": name, **_text("value", value)} for name, value in record.headers]
    if record.value is None:
        shown["value"] = None
    else:
        try:
            shown["value"] = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            shown |= _text("value_text", record.value, other="value_base64")
    return shown


def _text(name: str, raw: bytes | None, other: str | None = None) -> dict[str, object]:
    if raw is None:
        return {name: None}
    try:
        return {name: raw.decode()}
    except UnicodeDecodeError:
        return {other or f"{name}_base64": b64encode(raw).decode()}


def fleet_of(record: Stored) -> str | None:
    """The fleet that a record is about; events without one are about ``default``."""
    value = _object(record.value)
    if value is None:
        return None
    if record.topic == "fleet":
        return record.key.decode(errors="replace") if record.key else None
    return str(value.get("fleet", "default"))


def as_line(record: Stored) -> Text:
    """When, where, what, about whom, and the rest as JSON."""
    from rich.text import Text

    kind, subject, details = _described(record)
    style = STYLES.get(kind, "bold")
    line = Text()
    line.append(clock(record.timestamp), style="dim")
    line.append(f"  {f'{record.partition}@{record.offset}':>9}  ", style="dim")
    line.append(f"{shortened(kind, 40):18}", style=style)
    line.append(f"  {shortened(subject, 400)}")
    if details:
        line.append("  ")
        line.append(shortened(details, _LONGEST), style="dim")
    return line


def _described(record: Stored) -> tuple[str, str, str]:
    """What kind of record it is, about whom, and the rest."""
    if record.topic == "dead-letters":
        return _dead_letter(record)
    value = _object(record.value)
    if value is None:
        raw = "(no value)" if record.value is None else record.value.decode(errors="replace")
        return "no JSON object", _key(record), raw
    kind = str(value.pop("type", "no type"))
    describe = {"directives": _directive, "results": _result, "alerts": _alert, "fleet": _fleet_record}.get(
        record.topic, _event
    )
    subject, details = describe(value, record)
    return kind, subject, details


def _directive(value: dict[str, Any], _record: Stored) -> tuple[str, str]:
    task = value.get("task_id")
    parts = [f"{value.get('agent_id')} ← {task}" if task else str(value.get("agent_id"))]
    if value.get("epoch") is not None:
        parts.append(f"epoch {value['epoch']}")
    if value.get("attempt", 1) != 1:
        parts.append(f"attempt {value['attempt']}")
    parts.append(f"id {value.get('directive_id')}")
    return "  ".join(parts), "" if value.get("payload") is None else compact(value["payload"])


def _result(value: dict[str, Any], _record: Stored) -> tuple[str, str]:
    parts = [str(value.get("task_id"))]
    if value.get("agent_id"):
        parts.append(f"by {value['agent_id']}")
    if value.get("attempt", 1) != 1:
        parts.append(f"attempt {value['attempt']}")
    if value.get("reason"):
        parts.append(f"because {value['reason']}")
    return "  ".join(parts), "" if value.get("result") is None else compact(value["result"])


def _alert(value: dict[str, Any], _record: Stored) -> tuple[str, str]:
    rest = {name: item for name, item in value.items() if name not in _ALERT_FIELDS}
    return f"{value.get('subject')}  {value.get('reason')}", compact(rest) if rest else ""


_ALERT_FIELDS = frozenset({"fleet", "subject", "reason", "time", "cause"})


def _fleet_record(value: dict[str, Any], record: Stored) -> tuple[str, str]:
    source = value.pop("source", None)
    through = value.pop("through", None)
    event = value.pop("event", None)
    if not isinstance(event, dict):
        event = value  # one of the coordinator's own records, not a forwarded fact
    parts = [_subject(event, record)]
    if isinstance(source, dict):
        parts.append(f"from {source.get('partition')}@{source.get('offset')}")
    if isinstance(through, int | float):
        parts.append(f"lag {duration(max(0.0, record.timestamp / 1000 - through))}")
    return "  ".join(parts), compact({n: v for n, v in event.items() if n not in _SUBJECT_FIELDS})


def _event(value: dict[str, Any], record: Stored) -> tuple[str, str]:
    subject = _subject(value, record)
    rest = {name: item for name, item in value.items() if name not in _SUBJECT_FIELDS}
    return subject, compact(rest) if rest else ""


_SUBJECT_FIELDS = frozenset({"type", "task_id", "agent_id"})


def _subject(value: dict[str, Any], record: Stored) -> str:
    named = [str(value[name]) for name in ("agent_id", "task_id") if value.get(name)]
    return " ".join(named) or _key(record)


def _dead_letter(record: Stored) -> tuple[str, str, str]:
    headers = dict(record.headers)
    origin = (headers.get("coord-origin") or b"?").decode(errors="replace")
    error = (headers.get("coord-error") or b"?").decode(errors="replace")
    raw = "(no value)" if record.value is None else record.value.decode(errors="replace")
    return "dead letter", f"{origin}  {shortened(error, 300)}", raw


def _key(record: Stored) -> str:
    return "(no key)" if record.key is None else shortened(record.key.decode(errors="replace"), 128)


def _object(raw: bytes | None) -> dict[str, Any] | None:
    if raw is None:
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
