"""A coordinator's topics, a peer in its place, and a connection of the SDK, all on the real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coordinator import Connection
from streams import topics
from tests.integration.sdk.peer import Peer


@pytest.fixture
async def peer(kafka: str, topic_prefix: str) -> AsyncIterator[Peer]:
    layout = topics.Layout(prefix=topic_prefix, application=topic_prefix + "app")
    await topics.create(kafka, layout)
    opened = await Peer.at(kafka, topic_prefix)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def connection(kafka: str, topic_prefix: str, peer: Peer) -> AsyncIterator[Connection]:
    async with Connection(kafka, topic_prefix=topic_prefix) as opened:
        yield opened
