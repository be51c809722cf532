"""A coordinator inside the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.service import CoordinatorAgent, CoordinatorConfig


@pytest.fixture
async def coordinator(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[CoordinatorAgent]:
    config = CoordinatorConfig(
        name=topic_prefix.rstrip("."), broker_url=f"kafka://{kafka}", monitoring_port=0, data_dir=tmp_path
    )
    agent = CoordinatorAgent(config)
    await agent.start()
    yield agent
    await agent.stop()
