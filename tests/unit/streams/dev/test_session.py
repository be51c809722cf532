"""What ``coordinator dev`` does before it starts anything, and before it says anything."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.dev import session
from streams.dev.addresses import Coordinator
from streams.dev.figures import Figures
from streams.dev.session import DevOptions, Session, check_http_port
from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_taken_http_port_is_told_with_the_option_that_chose_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"--http-port {port} .* is taken"):
            check_http_port(DevOptions(tmp_path, None, http_port=port))
    check_http_port(DevOptions(tmp_path, None, http_port=port))


def test_a_port_that_nobody_asked_for_is_not_checked(tmp_path: Path) -> None:
    for port in (None, 0):
        check_http_port(DevOptions(tmp_path, None, http_port=port))


@pytest.mark.usefixtures("root_logger")
async def test_the_topics_are_followed_before_anybody_is_told_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    async def topics_are_there(_: Settings) -> None:
        order.append("topics")

    async def follow(_address: str, _prefix: str, _figures: Figures, watching: asyncio.Event) -> None:
        await asyncio.sleep(0.05)
        order.append("watching")
        watching.set()
        await asyncio.Event().wait()

    def tell(_directory: Path, _where: Coordinator) -> None:
        order.append("told")
        raise ConfigurationError("enough")

    monkeypatch.setattr(session, "ensure_topics", topics_are_there)
    monkeypatch.setattr(session, "watch", follow)
    monkeypatch.setattr(session, "publish", tell)
    with pytest.raises(ConfigurationError, match="enough"):
        await Session(DevOptions(tmp_path, None), load_settings(), lambda: None).go()
    assert order == ["topics", "watching", "told"]
