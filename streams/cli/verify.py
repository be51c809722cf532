"""``coordinator verify``: whether everything that the coordinator wrote follows from what it read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from streams.cli import console
from streams.cli.options import Archived, Bootstrap, Json, Prefix

if TYPE_CHECKING:
    from pathlib import Path

    from streams.audit.findings import Report
    from streams.settings import Settings

VERIFIED, DIVERGENT, UNVERIFIABLE = 0, 1, 3
_SHOWN = 40


def verify(
    json: Json = False, bootstrap: Bootstrap = None, prefix: Prefix = None, archive: Archived = None
) -> None:
    """Derive the whole history anew from the events, and compare it with what the coordinator wrote.

    Facts are what the events say, directives, results, reports, alerts and dead letters what follows from the
    fleet log, byte for byte, and plans what the planner proposes to the state that they were based on. Nothing
    is written, no consumer group joined; a coordinator may run meanwhile.

    Exit status 0 verified, 1 something does not follow, 3 something cannot be told, 2 wrong usage, 4 Kafka does
    not answer.

    [bold]Examples[/]

      coordinator verify

      coordinator verify --archive november/

      coordinator verify --json | jq '.findings[] | select(.verdict == "DIVERGENT")'
    """
    import asyncio

    from streams.audit.findings import Verdict
    from streams.cli.options import settings

    report = asyncio.run(_verify(settings(bootstrap, prefix), archive))
    if json:
        console.print_json(report.on_wire())
    else:
        show(report)
    if report.total(Verdict.DIVERGENT) or not report.adds_up:
        raise typer.Exit(DIVERGENT)
    raise typer.Exit(VERIFIED if report.verified else UNVERIFIABLE)


async def _verify(settings: Settings, archive: Path | None) -> Report:
    from streams.audit.verify import Verification
    from streams.cli.looking_back import opened

    async with opened(settings, archive, "verifying") as (history, progress):
        return await Verification(history, progress).run()


def show(report: Report) -> None:
    """The report for people."""
    from rich.markup import escape

    from streams.audit.findings import Verdict

    out = console.out()
    rows = [
        [check, *(f"{counts[verdict]:,}" for verdict in Verdict), f"{report.repeats[check]:,}"]
        for check, counts in sorted(report.counts.items())
    ]
    names = [(str(verdict).lower().replace("_", " "), "right") for verdict in Verdict]
    out.print(console.table(("records", *names, ("repeats", "right")), rows))
    for place, books in report.accounting.items():
        if not books["adds_up"]:
            out.print(f"[bold red]{place}: the outcomes do not add up to {books['records']:,} records[/]")
    for finding in report.findings[:_SHOWN]:
        where = f"{finding.place}" + ("" if finding.offset is None else f" at {finding.offset}")
        colour = "bold red" if finding.verdict is Verdict.DIVERGENT else "yellow"
        fields = finding.details.get("fields")
        more = "" if not isinstance(fields, dict) else f": {', '.join(fields)}"
        out.print(f"[{colour}]{finding.verdict}[/] {where}: {finding.reason} {escape(finding.subject)}{more}")
    if any(report.ahead.values()):
        console.note(
            f"not judged, since nothing behind them has been forwarded yet: {report.ahead['events']:,} events, "
            f"and {report.ahead['facts']:,} facts that follow from others"
        )
    if len(report.findings) > _SHOWN:
        console.note(f"{len(report.findings) - _SHOWN:,} more; --json has them")
    out.print(
        "[bold green]verified[/]" if report.verified else "[bold red]not verified[/]", f"up to {report.cut}"
    )
