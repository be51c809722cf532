"""Addresses as people write them: ``host:port``, IPv6 in brackets. Who listens there is not known here."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple

_SHAPE = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?", re.DOTALL)
_HOST = re.compile(r"(?!.{254})[\w-]{1,63}(\.[\w-]{1,63})*\.?")
"""A name or an IPv4 address; longer labels than DNS has make the resolver raise something of its own."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    """Without brackets."""
    port: int


def parsed(text: str, default_port: int | None = None) -> Address:
    """The address that ``text`` is; the port may be left out where there is a default.

    Raises:
        ValueError: saying what is wrong with it and what would be right.
    """
    found = _SHAPE.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no address; give host:port, an IPv6 host in brackets: [::1]:9092")
    host, port = found["host"], found["port"]
    if not (_is_ipv6(host[1:-1]) if host.startswith("[") else _HOST.fullmatch(host)):
        raise ValueError(f"{host!r} in {text!r} is no host; give host:port, an IPv6 host in brackets")
    if port is None:
        if default_port is None:
            raise ValueError(f"{text!r} has no port; give host:port")
        return Address(host.strip("[]"), default_port)
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{port!r} in {text!r} is no port; give a number between 1 and 65535")
    return Address(host.strip("[]"), int(port))


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
