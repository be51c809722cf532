"""Asking a worker over HTTP: one small GET, with the standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams import addresses
from streams.errors import ConfigurationError, StreamsError

TIMEOUT = 5.0


class WorkerUnreachable(StreamsError):
    """No worker answers at an address.

    Attributes:
        address: ``host:port``.
    """

    exit_status = 4

    def __init__(self, address: str, detail: str) -> None:
        super().__init__(
            f"no worker answers at http://{address.removeprefix('http://')}: {detail}; is it running? "
            "Without --http the state is read from the topics"
        )
        self.address = address


class NotFound(StreamsError):
    """The worker knows nothing of that name."""


class WorkerRefused(StreamsError):
    """The worker answered, but not with what was asked for."""


def get_json(
    address: str,
    path: str,
    query: Mapping[str, object] | None = None,
    timeout: float = TIMEOUT,
    *,
    body: object = None,
) -> dict[str, Any]:
    """The JSON object at ``http://address/path``; with a body, which is posted there, the answer to that.

    Raises:
        ConfigurationError: the address is none.
        WorkerUnreachable: nothing answers there.
        NotFound: it knows no such thing.
        WorkerRefused: any other answer than 200.
    """
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlencode

    import orjson

    given = {name: value for name, value in (query or {}).items() if value is not None}
    host, port = where(address)
    connection = HTTPConnection(host, port, timeout=timeout)
    try:
        target = path + (f"?{urlencode(given)}" if given else "")
        if body is None:
            connection.request("GET", target)
        else:
            connection.request("POST", target, orjson.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException, ValueError) as error:
        raise WorkerUnreachable(address, str(error) or type(error).__name__) from error
    finally:
        connection.close()
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    if answer.status == 200 and isinstance(value, dict):
        return value
    detail = value.get("detail") if isinstance(value, dict) else None
    message = str(detail or f"{address} answers {answer.status} {answer.reason}; is that a worker's address?")
    raise NotFound(message) if answer.status == 404 and detail else WorkerRefused(message)


def where(address: str) -> addresses.Address:
    """What to connect to.

    Raises:
        ConfigurationError: the address is none.
    """
    try:
        return addresses.parsed(address.removeprefix("http://").rstrip("/"), default_port=80)
    except ValueError as error:
        raise ConfigurationError(f"a worker's HTTP address (--http, COORDINATOR_HTTP): {error}") from None
