"""What ``coordinator dev`` checks before it starts anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from streams.dev.session import DevOptions, check_http_port
from streams.errors import ConfigurationError


def test_a_taken_http_port_is_told_with_the_option_that_chose_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"--http-port {port} .* is taken"):
            check_http_port(DevOptions(tmp_path, None, http_port=port))
    check_http_port(DevOptions(tmp_path, None, http_port=port))


def test_a_port_that_nobody_asked_for_is_not_checked(tmp_path: Path) -> None:
    for port in (None, 0):
        check_http_port(DevOptions(tmp_path, None, http_port=port))
