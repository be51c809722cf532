"""``coordinator replay``: history again, to look at, to pipe, or into topics of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import console
from streams.cli.options import Archived, Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.fleet import FleetFold
    from models.fold import Output, Record
    from streams.audit.moments import Moment
    from streams.audit.replay import Sandbox
    from streams.settings import Settings


def replay(
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="MOMENT", help="What is before only brings the state there; as for --at."
        ),
    ] = "beginning",
    end: Annotated[str, typer.Option("--to", metavar="MOMENT", help="Where it ends.")] = "now",
    speed: Annotated[
        str,
        typer.Option(metavar="N|max", help="How many times faster than it happened, or as fast as possible."),
    ] = "max",
    into: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX",
            help="Append what is put out to topics that begin so, which are created; never to those it is from.",
        ),
    ] = None,
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Fold the fleet log again, record by record, and show what each one is and what was put out because of it.

    The same records give the same bytes: directives, results, reports and alerts. It joins no consumer group, and
    unless --into names topics of its own it writes nothing into the cluster.

    [bold]Examples[/]

      coordinator replay --from 2026-11-22T10:00Z --to 2026-11-22T10:05Z --speed 10

      coordinator replay --json | jq -r '.brings[] | select(.topic == "directives") | .value.directive_id'

      coordinator replay --into sandbox.
    """
    import asyncio

    from streams.audit.moments import parse_moment
    from streams.cli.options import require_fleet, settings
    from streams.errors import ConfigurationError

    require_fleet(fleet)
    times = _speed(speed)
    if into is not None and archive is not None:
        raise ConfigurationError("--into writes beside the topics that it reads; leave out --archive")
    told = asyncio.run(
        _replayed(
            settings(bootstrap, prefix),
            fleet,
            parse_moment(start),
            parse_moment(end),
            times,
            into,
            json,
            archive,
        )
    )
    console.note(told)


def _speed(text: str) -> float | None:
    from streams.errors import ConfigurationError

    if text == "max":
        return None
    try:
        times = float(text)
    except ValueError:
        times = 0.0
    if not 0 < times < 1e9:
        raise ConfigurationError(f"--speed {text}: give a number above 0, or max")
    return times


async def _replayed(
    settings: Settings,
    fleet: str,
    start: Moment,
    end: Moment,
    speed: float | None,
    into: str | None,
    json: bool,
    archive: Path | None,
) -> str:
    from streams.audit.replay import Replay, Sandbox
    from streams.cli.looking_back import heard
    from streams.errors import StreamsError

    sandbox = None
    replays: list[Replay] = []
    async with AsyncExitStack() as stack:
        if into is not None:
            bootstrap = settings.kafka_bootstrap_servers
            sandbox = Sandbox(bootstrap, settings.topic_prefix, into)
            with console.waiting_for_kafka(bootstrap):
                await stack.enter_async_context(sandbox)

        async def tell(record: Record, outputs: list[Output]) -> None:
            await _tell(record, outputs, sandbox, json)

        def listen(fold: FleetFold, first: int) -> Replay:
            if replays and replays[-1].told:
                raise StreamsError(
                    "a snapshot turned out to be wrong on the way and was removed; start again"
                )
            replays.append(Replay(fold, first, tell, speed))
            return replays[-1]

        past, replayed = await heard(
            settings, fleet, listen, end, archive, since=start, watched=sandbox is not None
        )
    said = f"{replayed.told:,} records up to {past.cut}"
    return said if sandbox is None else f"{said}; {sandbox.records:,} outputs appended to {into}*"


async def _tell(record: Record, outputs: list[Output], sandbox: Sandbox | None, json: bool) -> None:
    if sandbox is not None:
        for output in outputs:
            await sandbox.put(output)
        return
    if json:
        console.print_json_line(as_json(record, outputs))
    else:
        show(record, outputs)


def as_json(record: Record, outputs: Sequence[Output]) -> dict[str, object]:
    """A record of the fleet log, and what was put out because of it."""
    from models.fields import seconds
    from streams.audit.claims import value_of

    brings = [
        {"topic": output.topic, "key": _text(output.key), "value": value_of(output)} for output in outputs
    ]
    return {
        "offset": record.offset,
        "time": seconds(record.timestamp),
        "value": value_of(record),
        "brings": brings,
    }


def show(record: Record, outputs: Sequence[Output]) -> None:
    """The same for people."""
    from rich.markup import escape

    from streams.audit.claims import value_of

    value = value_of(record)
    time = console.clock(record.timestamp)
    kind = console.word(str(value.get("type")))
    console.out().print(f"{time}  {record.offset:>8,}  {kind}", no_wrap=True, overflow="ellipsis", crop=True)
    for output in outputs:
        brought = value_of(output)
        words = console.shortened(console.compact(brought), 110)
        told = console.word(str(brought.get("type")))
        console.out().print(f"{'':24}→ {told} {escape(words)}", no_wrap=True, overflow="ellipsis", crop=True)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")
