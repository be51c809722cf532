"""The bounds of the wire contract, checked before anything is sent.

A record beyond them would end in the dead letters, far from the line of code that wrote it. Each function
returns the value as it goes on the wire or raises :class:`coordinator.errors.InvalidValue`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import IPv6Address
from typing import TypeVar

import orjson

from coordinator.errors import InvalidValue

MAX_VALUE_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 64 << 10
MAX_DEPTH = 32
MAX_INTEGER = (1 << 53) - 1
MAX_CAPABILITIES = 256
MAX_METRICS = 256
MAX_NAMES = 64
"""Most labels, resources or amounts in one mapping."""
LAST_SECOND = 253_402_300_799.999
"""The end of the year 9999."""

V = TypeVar("V")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}", re.ASCII)
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|[^\s:/@\[\]]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_ADDRESSES = "host:port, or [IPv6]:port, several separated by commas; kafka:// may stand in front"
_FLEET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}", re.ASCII)


def instance(value: object, field: str, kind: type, rule: str) -> None:
    if not isinstance(value, kind):
        raise InvalidValue(field, value, rule)


def identifier(value: str, field: str) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidValue(
            field, value, "1 to 128 of A-Z a-z 0-9 . _ : @ -, beginning with a letter or digit"
        )
    return value


def place(value: str, field: str) -> str:
    label = value.removeprefix("labels.") if isinstance(value, str) else ""
    if value not in ("agent", "zone") and (label == value or not _ID.fullmatch(label)):
        raise InvalidValue(field, value, "agent, zone, or labels. and the name of a label")
    return value


def fleet_name(value: str) -> str:
    if not isinstance(value, str) or not _FLEET.fullmatch(value):
        raise InvalidValue(
            "fleet", value, "1 to 64 of A-Z a-z 0-9 . _ : @ -, beginning with a letter or digit"
        )
    return value


def text(value: str, field: str, longest: int = 1024) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise InvalidValue(field, value, f"text of at most {longest} characters")
    return value


def shortened(value: str, longest: int = 1024) -> str:
    """Text that was not written for the wire (such as an exception's), cut to fit and without lone surrogates."""
    clean = value.encode("utf-8", "replace").decode()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def number(value: float, field: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidValue(field, value, f"a number between {low:g} and {high:g}")
    return value


def positive(value: float, field: str, high: float) -> float:
    if number(value, field, 0, high) == 0:
        raise InvalidValue(field, value, "more than 0")
    return value


def integer(value: int, field: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise InvalidValue(field, value, f"an integer between {low} and {high}")
    return value


def moment(value: datetime | float, field: str) -> float:
    """Epoch seconds of a time; naive ``datetime`` objects are refused, since nobody knows what they mean."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidValue(field, value, "a datetime with a time zone, such as datetime.now(UTC)")
        value = value.timestamp()
    return number(value, field, 0, LAST_SECOND)


def identifiers(values: Iterable[str], field: str, most: int = MAX_CAPABILITIES) -> list[str]:
    if isinstance(values, str):
        raise InvalidValue(field, values, "a list of names, not one name")
    names = [identifier(value, f"{field}[{index}]") for index, value in enumerate(values)]
    if len(names) > most:
        raise InvalidValue(field, len(names), f"at most {most} entries")
    return names


def amounts(values: Mapping[str, float], field: str) -> dict[str, float]:
    return {
        identifier(name, f"{field} key"): number(amount, f"{field}.{name}", 0, 1e12)
        for name, amount in _mapping(values, field, MAX_NAMES).items()
    }


def labels(values: Mapping[str, str], field: str) -> dict[str, str]:
    return {
        identifier(name, f"{field} key"): text(label, f"{field}.{name}", 128)
        for name, label in _mapping(values, field, MAX_NAMES).items()
    }


def metrics(values: Mapping[str, float]) -> dict[str, float]:
    for name, measured in _mapping(values, "metrics", MAX_METRICS).items():
        identifier(name, "metrics key")
        if isinstance(measured, bool) or not isinstance(measured, int | float) or not math.isfinite(measured):
            raise InvalidValue(f"metrics.{name}", measured, "a finite number")
    return dict(values)


def addresses(value: str) -> str:
    """Kafka's addresses as its client takes them: ``kafka://`` left out, every port a port."""
    if not isinstance(value, str):
        raise InvalidValue("bootstrap_servers", value, _ADDRESSES)
    return ",".join(_address(part.strip(), value) for part in value.split(","))


def _address(part: str, whole: str) -> str:
    address = part.removeprefix("kafka://").rstrip("/")
    found = _ADDRESS.fullmatch(address)
    if found is None or (found["ipv6"] is not None and not _is_ipv6(found["ipv6"])):
        raise InvalidValue("bootstrap_servers", whole, _ADDRESSES)
    if found["port"] is not None and not 1 <= int(found["port"]) <= 65_535:
        raise InvalidValue("bootstrap_servers", whole, f"{_ADDRESSES}; a port is between 1 and 65535")
    return address


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _mapping(values: Mapping[str, V], field: str, most: int) -> Mapping[str, V]:
    if not isinstance(values, Mapping):
        raise InvalidValue(field, values, "a mapping of names")
    if len(values) > most:
        raise InvalidValue(field, len(values), f"at most {most} entries")
    return values


def bounded_json(value: object, field: str) -> object:
    """A payload or result: any JSON value of at most 64 KiB."""
    check_json(value, field, MAX_DEPTH - 1)
    size = len(orjson.dumps(value))
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidValue(
            field,
            value,
            f"{size} bytes as JSON; at most {MAX_PAYLOAD_BYTES} are allowed, so send a reference",
        )
    return value


def check_json(value: object, field: str, levels: int) -> None:
    """Refuse what is no JSON or does not survive it: NaN becomes null, large integers lose digits."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(field, value, "text without lone surrogates") from None
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise InvalidValue(field, value, "an integer within ±(2^53 - 1); send larger ones as text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValue(field, value, "a finite number")
    elif isinstance(value, dict):
        _check_depth(field, levels)
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidValue(field, key, "text as key of an object")
            check_json(key, f"{field} key", levels)
            check_json(item, f"{field}.{key}", levels - 1)
    elif isinstance(value, list) or type(value) is tuple:
        _check_depth(field, levels)
        for index, item in enumerate(value):
            check_json(item, f"{field}[{index}]", levels - 1)
    else:
        raise InvalidValue(
            field, value, f"JSON: a dict, list, text, number, bool or None, not {type(value).__name__}"
        )


def _check_depth(field: str, levels: int) -> None:
    if levels <= 0:
        # The path to the culprit would itself be too long to read.
        raise InvalidValue(field.split(".")[0].split("[")[0], "…", f"nested at most {MAX_DEPTH} levels deep")
