"""Commands that look back refuse what cannot be meant, before they ask Kafka anything."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from streams.errors import ConfigurationError


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("story task", "coordinator story task ID"),
        ("story t1", "coordinator story task t1"),
        ("state task", "coordinator state task ID"),
        ("state --at soon", "names no moment"),
        ("agents --at now --http 127.0.0.1:1", "leave out --http"),
        ("resources --at now --apply", "leave out --at"),
        ("diff yesterday", "names no moment"),
        ("explain directive", "coordinator explain"),
        ("explain directive t1", "one looks like default.1834.0"),
        ("explain directive default.1.0 --at now", "leave out --at"),
        ("replay --speed fast", "a number above 0"),
        ("replay --speed 0", "a number above 0"),
        ("replay --to tomorrow", "names no moment"),
        ("replay --into coordinator.", "never written into itself"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: str, complaint: str) -> None:
    ran = CliRunner().invoke(app, words.split())
    assert isinstance(ran.exception, ConfigurationError)
    assert complaint in str(ran.exception)
