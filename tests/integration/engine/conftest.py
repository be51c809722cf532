"""The lab of one test: topics of its own on the session's Kafka, and no process left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.engine.harness import Lab


@pytest.fixture
async def lab(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(kafka, topic_prefix, tmp_path)
    yield lab
    await lab.end()
