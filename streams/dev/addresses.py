"""Where a ``coordinator dev`` of this directory can be reached, so that other commands find it by themselves."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import NamedTuple

DEFAULT_DATA_DIR = Path(".coordinator/dev")
_FILE = "kafka.json"


class Coordinator(NamedTuple):
    """Where a running coordinator's topics are."""

    bootstrap: str
    prefix: str


def publish(data_dir: Path, where: Coordinator) -> None:
    """Leave the address for commands that are started in the same directory."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / _FILE).write_text(json.dumps(where._asdict()) + "\n")


def withdraw(data_dir: Path) -> None:
    (data_dir / _FILE).unlink(missing_ok=True)


def running(data_dir: Path = DEFAULT_DATA_DIR) -> Coordinator | None:
    """Where the topics are, if a ``coordinator dev`` left word and something still answers there."""
    try:
        where = Coordinator(**json.loads((data_dir / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return where if any(answers(one) for one in where.bootstrap.split(",")) else None


def worker_http(data_dir: Path) -> str | None:
    """The HTTP address that a worker with this data directory wrote, if it still answers."""
    try:
        address = (data_dir / "http").read_text().strip()
    except OSError:
        return None
    return address if answers(address) else None


def answers(address: str, timeout: float = 0.5) -> bool:
    """Whether anything listens at ``host:port``. A file that a killed process left behind must not mislead."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout):
            return True
    except OSError:
        return False


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
