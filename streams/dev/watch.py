"""Follows the topics and keeps the figures up to date, for the live view and the summary."""

from __future__ import annotations

import asyncio

from streams.dev.figures import Figures
from streams.reader import TopicReader

TOPICS = ("events", "directives", "results", "alerts", "dead-letters")


async def watch(bootstrap: str, prefix: str, figures: Figures, watching: asyncio.Event) -> None:
    """Feed all that is appended from now on into ``figures``, until cancelled.

    ``watching`` is set once nothing can slip by any more; submit only then.

    Raises:
        BrokerUnreachable, TopicMissing: if there is nothing to read from.
    """
    async with TopicReader(bootstrap, prefix) as reader:
        await reader.seek_to_ends(TOPICS)
        watching.set()
        while True:
            figures.observe(await reader.fresh())
