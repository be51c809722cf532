"""``coordinator export``: the topics as files that anybody can read, and that can still be verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Json, Prefix

if TYPE_CHECKING:
    from streams.audit.archive import Manifest
    from streams.audit.moments import Moment
    from streams.settings import Settings


def export(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The archive; a new or an empty directory.", show_default=False),
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="WHEN", help="beginning, a time (by arrival), or a cut of all topics."
        ),
    ] = "beginning",
    end: Annotated[
        str,
        typer.Option(
            "--to", metavar="WHEN", help="now, a time, or a cut: the first records that are left out."
        ),
    ] = "now",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Write all topics into Parquet files (zstd), with a manifest: cuts, counts, and digests of the records.

    The archive holds every record byte for byte. It can be verified without Kafka (coordinator verify --archive),
    looked back into (--archive of state, diff, story, bisect, replay), and queried by whatever reads Parquet.

    [bold]Examples[/]

      coordinator export november/

      coordinator export day/ --from 2026-11-22T00:00Z --to 2026-11-23T00:00Z --json | jq -r .ends
    """
    import asyncio

    from streams.audit.extents import parse_when
    from streams.cli.options import settings

    moments = (parse_when(start), parse_when(end))
    manifest = asyncio.run(_export(settings(bootstrap, prefix), directory, *moments))
    if json:
        import msgspec

        console.print_json(msgspec.to_builtins(manifest, str_keys=True))
        return
    rows = [
        [
            f"{manifest.prefix}{topic}/{file.partition}",
            f"{file.beginning:,}",
            f"{file.end:,}",
            f"{file.records:,}",
            f"{(directory / file.file).stat().st_size / 1e6:,.1f}",
        ]
        for topic, files in manifest.topics.items()
        for file in files
    ]
    columns = ("partition", ("from", "right"), ("to", "right"), ("records", "right"), ("MB", "right"))
    console.out().print(console.table(columns, rows))
    console.note(f"verify it with: coordinator verify --archive {directory}")


async def _export(settings: Settings, directory: Path, start: Moment, end: Moment) -> Manifest:
    from streams.audit.export import write
    from streams.audit.extents import extents_between
    from streams.cli.looking_back import opened
    from streams.cli.version import PACKAGE, installed

    async with opened(settings, None, "exporting") as (history, progress):
        held = await extents_between(history, start, end)
        return await write(history, held, directory, f"{PACKAGE} {installed(PACKAGE)}", progress)
