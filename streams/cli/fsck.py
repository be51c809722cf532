"""``coordinator fsck``: everything that is kept, looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import console
from streams.cli.options import Archived, Bootstrap, Json, Prefix

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.audit.fsck import Checked
    from streams.settings import Settings

_MARKS = {"ok": ("✓ ", "green"), "warning": ("! ", "yellow"), "bad": ("✗ ", "bold red")}


def fsck(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Of the worker whose local stores are looked at.", show_default=False
        ),
    ] = None,
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Look at everything that is kept, and say what to do about what is wrong; nothing is mended.

    Topics: their settings. Logs: whether records are missing, stand in order, and stem from what is there.
    Changelogs and local stores: whether they give a state that proves itself, of this log. Snapshots: whether
    they are what they say. With --archive: whether its files are those of the manifest.

    Everything is read once. Whether it follows from the events is what coordinator verify tells.

    Exit status 0 if all is well, or may be so, 1 if something is wrong, 4 if Kafka does not answer.

    [bold]Examples[/]

      coordinator fsck

      coordinator fsck --json | jq '.[] | select(.status != "ok")'

      coordinator fsck --archive november/
    """
    import asyncio
    from dataclasses import asdict

    from streams.audit.fsck import worst
    from streams.cli.options import settings

    found = asyncio.run(_looked_at(settings(bootstrap, prefix, data_dir=data_dir), archive, json))
    if json:
        console.print_json([asdict(one) for one in found])
    state = worst(found)
    if not json:
        wrong = sum(one.status == "bad" for one in found)
        words = {
            "ok": "all is well",
            "warning": "nothing is wrong",
            "bad": f"{wrong} of {len(found)} are wrong",
        }
        console.note(words[state])
    raise typer.Exit(1 if state == "bad" else 0)


async def _looked_at(settings: Settings, archive: Path | None, json: bool) -> list[Checked]:
    found: list[Checked] = []
    async for checked in _all(settings, archive):
        found.append(checked)
        if not json:
            _show(checked)
    return found


async def _all(settings: Settings, archive: Path | None) -> AsyncIterator[Checked]:
    from streams.audit import fsck
    from streams.audit.history import KafkaHistory
    from streams.audit.past import Log
    from streams.cli.looking_back import opened, snapshots_of
    from streams.topics import layout_of

    if archive is not None:
        from streams.audit.archive import Archive

        async for checked in fsck.archive(Archive.open(archive)):
            yield checked
        return
    async with opened(settings, None, "looking at it") as (history, _):
        async for checked in fsck.topics(settings.kafka_bootstrap_servers, layout_of(settings)):
            yield checked
        async for checked in fsck.logs(history):
            yield checked
        async with KafkaHistory(settings.kafka_bootstrap_servers, "") as everything:
            async for checked in fsck.changelogs(everything, settings.application, history):
                yield checked
        for checked in fsck.stores(settings.data_dir):
            yield checked
        for place, cluster in await Log.places(history):
            for checked in fsck.snapshots(snapshots_of(settings).shelf(cluster, place)):
                yield checked


def _show(checked: Checked) -> None:
    from rich.text import Text

    out = console.out()
    out.print(
        Text.assemble(
            _MARKS[checked.status], f"{checked.kind:10}", (checked.name, "bold"), f"  {checked.says}"
        )
    )
    if checked.remedy:
        out.print(Text(f"    {checked.remedy}"))
