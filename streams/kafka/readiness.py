"""Is something at this address a Kafka broker that serves clients?"""

from __future__ import annotations

import socket
import struct

_API_VERSIONS_REQUEST = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Length, API key 18 (ApiVersions), version 0, correlation id 1, no client id: the smallest question there is."""


def answers(host: str, port: int, timeout: float) -> bool:
    """Whether a broker answers within ``timeout`` seconds.

    A connection alone proves nothing: Kafka listens long before it serves. It answers its first request when it
    has caught up with the metadata and is registered, so that topics can be created from then on.
    """
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(_API_VERSIONS_REQUEST)
            answer = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(answer) < 10:
        return False
    _length, correlation, error = struct.unpack(">iih", answer)
    return bool(correlation == 1 and error == 0)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on. Somebody may take it before it is used: be ready to ask again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
