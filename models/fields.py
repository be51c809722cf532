"""The types of single fields on the wire: ids, numbers, times, names; each with its bounds.

Everything is strict: ``"1"`` is no number, ``true`` is no integer. Times become integer epoch milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Strict,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
PLACE_PATTERN = r"^(agent|zone|labels\.[A-Za-z0-9][A-Za-z0-9._:@-]{0,127})$"
FLEET_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$"
FLEET_RULE = "1 to 64 of A-Z a-z 0-9 . _ : @ -, beginning with a letter or digit"
MAX_PAYLOAD_BYTES = 64 << 10
LAST_MILLISECOND = 253_402_300_799_999
"""The end of the year 9999."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def milliseconds(value: object) -> int:
    """Epoch milliseconds of a time on the wire: RFC 3339 text or epoch seconds.

    Raises:
        ValueError: for anything else, and for times outside the years 1970 to 9999.
    """
    if isinstance(value, str):
        if not _RFC3339.fullmatch(value):
            raise ValueError("not an RFC 3339 time such as 2026-11-22T10:00:00Z, nor epoch seconds")
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            raise ValueError("not a time that exists in the calendar") from None
        whole = round(moment.timestamp() * 1000)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # Bounded before it is multiplied, for the product of a huge number is infinite and has no integer.
        whole = round(value * 1000) if 0 <= value <= LAST_MILLISECOND else -1
    else:
        raise ValueError("not an RFC 3339 time such as 2026-11-22T10:00:00Z, nor epoch seconds")
    if not 0 <= whole <= LAST_MILLISECOND:
        raise ValueError("outside the years 1970 to 9999; epoch times are in seconds")
    return whole


def seconds(milliseconds_: int) -> float:
    """A time or duration as it goes out: seconds with millisecond precision."""
    return milliseconds_ / 1000


def wire_schema(adapter: TypeAdapter[Any]) -> dict[str, object]:
    """JSON Schema of what an adapter reads: types are required, and defaults of durations are in seconds."""
    schema: dict[str, object] = adapter.json_schema()
    _as_on_wire(schema)
    return schema


def _as_on_wire(node: object) -> None:
    if isinstance(node, list):
        for item in node:
            _as_on_wire(item)
    elif isinstance(node, dict):
        if node.get("x-unit") == "seconds" and isinstance(node.get("default"), int):
            node["default"] = seconds(node["default"])
        kind = node.get("properties", {}).get("type", {})
        if isinstance(kind, dict) and "const" in kind:
            # A default in the model, for the sake of Python; on the wire it is what tells events apart.
            kind.pop("default", None)
            node["required"] = sorted({"type", *node.get("required", ())})
        for item in node.values():
            _as_on_wire(item)


def _bounded_json(value: object) -> object:
    size = len(orjson.dumps(value))
    if size > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{size} bytes as compact JSON; at most {MAX_PAYLOAD_BYTES} are allowed")
    return value


@dataclass(frozen=True, slots=True)
class duration:  # noqa: N801 - used like a function, within Annotated
    """A duration: a JSON number of seconds between ``low`` and ``high`` on the wire, whole milliseconds inside."""

    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._parse,
            serialization=core_schema.plain_serializer_function_ser_schema(seconds),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: object) -> dict[str, object]:
        return {"type": "number", "minimum": self.low, "maximum": self.high, "x-unit": "seconds"}

    def _parse(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError("not a number of seconds")
        if not self.low <= value <= self.high:
            raise ValueError(f"must lie between {self.low:g} and {self.high:g} seconds")
        return round(value * 1000)


_TIME_SCHEMA = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "minimum": 0}]}

Id = Annotated[str, Strict(), StringConstraints(pattern=ID_PATTERN)]
"""Agent, task, event, directive and tenant ids, capabilities, names of metrics and resources."""
Fleet = Annotated[str, Strict(), StringConstraints(pattern=FLEET_PATTERN)]
Place = Annotated[str, Strict(), StringConstraints(pattern=PLACE_PATTERN)]
"""What tasks are spread by: ``agent``, ``zone``, or ``labels.`` and the name of a label."""
Text = Annotated[str, Strict(), StringConstraints(max_length=1024)]
"""Reasons and other words for people."""
Label = Annotated[str, Strict(), StringConstraints(max_length=128)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Amount = Annotated[float, Strict(), Field(ge=0, le=1e12, allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Size = Annotated[float, Strict(), Field(gt=0, le=1e9, allow_inf_nan=False)]
Slots = Annotated[int, Strict(), Field(ge=0, le=100_000)]
Counter = Annotated[int, Strict(), Field(ge=0)]
Time = Annotated[int, BeforeValidator(milliseconds), WithJsonSchema(_TIME_SCHEMA)]
Capabilities = Annotated[list[Id], Field(max_length=256)]
Labels = Annotated[dict[Id, Label], Field(max_length=64)]
Amounts = Annotated[dict[Id, Amount], Field(max_length=64)]
Metrics = Annotated[dict[Id, Number], Field(max_length=256)]
Json = Annotated[object, AfterValidator(_bounded_json)]
"""Any JSON value of at most 64 KiB: payloads and results."""

HeartbeatInterval = Annotated[int, duration(0.05, 3_600)]
AckTimeout = Annotated[int, duration(0.05, 3_600)]
RunTimeout = Annotated[int, duration(0.05, 2_592_000)]
