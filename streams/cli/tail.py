"""``coordinator tail``: the records of one topic, for people and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Bootstrap, Prefix

if TYPE_CHECKING:
    from streams.offsets import Span


TOPICS = ("directives", "results", "alerts", "events", "reports", "fleet", "dead-letters")
"""Logical names, without prefix."""


def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help=f"What to show: {', '.join(TOPICS)}.")],
    offset: Annotated[
        list[str] | None,
        typer.Option(
            "--offset",
            "-o",
            metavar="OFFSET",
            help="Where to start, in each partition: beginning, end, <n>, -<n> (so many before the end), "
            "s@<epoch ms>; and where to stop: e@<epoch ms>. By default -10.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-c", min=1, metavar="N", help="Exit after so many records.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new records.")] = False,
    key: Annotated[
        str | None, typer.Option("--key", "-k", metavar="KEY", help="Only records with this key.")
    ] = None,
    fleet: Annotated[
        str | None, typer.Option(metavar="FLEET", help="Only records of this fleet.", show_default=False)
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: where it stands, key, headers, value.")
    ] = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show the records of a topic: the last ten of each partition, or what -o says.

    Offsets are written as for kcat. Without -f it exits at the end of the topic.

    [bold]Examples[/]

      coordinator tail directives -f

      coordinator tail results -o beginning --json | jq .value.type

      coordinator tail events -o s@1767225600000 -o e@1767229200000

      coordinator tail dead-letters -c 1
    """
    import asyncio

    from streams.cli.options import require_fleet, settings
    from streams.errors import ConfigurationError
    from streams.offsets import Start, parse_span

    if topic not in TOPICS:
        raise ConfigurationError(f"no topic is called {topic!r} here; there are {', '.join(TOPICS)}")
    if fleet is not None:
        require_fleet(fleet)
    span = parse_span(offset or (), Start("back", 10))
    loaded = settings(bootstrap, prefix)
    asyncio.run(
        _tail(
            loaded.kafka_bootstrap_servers,
            loaded.topic_prefix,
            topic,
            span,
            count,
            follow,
            key,
            fleet,
            json,
        )
    )


async def _tail(
    bootstrap: str,
    prefix: str,
    topic: str,
    span: Span,
    count: int | None,
    follow: bool,
    key: str | None,
    fleet: str | None,
    json: bool,
) -> None:
    from contextlib import AsyncExitStack, aclosing
    from functools import partial

    from streams.cli import console
    from streams.cli.records import as_json, as_line, fleet_of
    from streams.reader import TopicReader

    wanted_key = None if key is None else key.encode()
    shown = 0
    async with AsyncExitStack() as stack:
        with console.waiting_for_kafka(bootstrap):
            reader = await stack.enter_async_context(TopicReader(bootstrap, prefix))
        records = reader.records(topic, span, follow=follow, answering=partial(_tell, bootstrap))
        await stack.enter_async_context(aclosing(records))
        async for record in records:
            if wanted_key is not None and record.key != wanted_key:
                continue
            if fleet is not None and fleet_of(record) != fleet:
                continue
            if json:
                console.print_json_line(as_json(record, prefix))
            else:
                console.out().print(as_line(record), no_wrap=True, overflow="ellipsis", crop=True)
            shown += 1
            if shown == count:
                return
    if not shown:
        console.note(f"nothing to show on {prefix}{topic}; -o beginning starts at the oldest record")


def _tell(bootstrap: str, answers: bool) -> None:
    from streams.cli import console

    if answers:
        console.note(f"Kafka at {bootstrap} answers again")
    else:
        console.note(f"Kafka at {bootstrap} does not answer; trying again until it does")
