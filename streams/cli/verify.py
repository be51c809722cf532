"""``coordinator verify``: whether everything that the coordinator wrote follows from what it read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Archived, Bootstrap, Json, Prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.cut import Cut
    from streams.audit.findings import Finding, Report
    from streams.audit.history import History
    from streams.audit.moments import Moment
    from streams.audit.verify import Verification
    from streams.settings import Settings

VERIFIED, DIVERGENT, UNVERIFIABLE = 0, 1, 3
_SHOWN = 40
_LONG = 500_000
"""Events from which on a second process is worth its start, which costs more than a CPU-second,"""
_BEATS = 20
"""if there are so many for each record of the fleet log: all that comes of events passes through one process."""
_STANDING = 10.0
"""Seconds between two words on where it is."""


def verify(
    start: Annotated[
        str,
        typer.Option("--from", metavar="WHEN", help="Judge from then on; what is before is folded."),
    ] = "beginning",
    end: Annotated[
        str, typer.Option("--to", metavar="WHEN", help="Judge what follows from the log up to then.")
    ] = "now",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is appended, until Ctrl-C.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted verification of the same was.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=64,
            metavar="N",
            help="Processes that fold the partitions of the events; by default one for each core, of long logs "
            "that are mostly heartbeats.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Derive the whole history anew from the events, and compare it with what the coordinator wrote.

    Facts are what the events say, directives, results, reports, alerts and dead letters what follows from the
    fleet log, byte for byte, and plans what the planner proposes to the state that they were based on. Nothing
    is written, no consumer group joined; a coordinator may run meanwhile.

    WHEN is a time (2026-11-22T10:00Z, by arrival), or a cut. With --follow findings are told as they are made
    (with --json each as a line, and the report as the last one), and records rest for 15 seconds before they
    are judged.

    What is done is kept every few seconds, beside the snapshots. After an interruption --resume, with the same
    WHEN, goes on from there; the report is the same as without one.

    Exit status 0 verified, 1 something does not follow, 3 something cannot be told, 2 wrong usage, 4 Kafka does
    not answer.

    [bold]Examples[/]

      coordinator verify

      coordinator verify --from 2026-11-22T00:00Z --to 2026-11-23T00:00Z

      coordinator verify --follow --json | jq -c 'select(.verdict == "DIVERGENT")'

      coordinator verify --archive november/ --json | jq '.findings[] | select(.verdict == "DIVERGENT")'
    """
    import asyncio

    from streams.audit.archive import ArchiveDamaged
    from streams.audit.extents import parse_when
    from streams.audit.findings import Verdict
    from streams.cli.options import settings
    from streams.errors import ConfigurationError

    moments = parse_when(start), parse_when(end)
    if follow and (archive is not None or end != "now"):
        raise ConfigurationError("--follow waits for what is appended: leave out --archive and --to")
    if follow and resume:
        raise ConfigurationError("--follow begins at the beginning: leave out --resume")
    loaded = settings(bootstrap, prefix)
    try:
        if follow:
            report, rate = asyncio.run(_following(loaded, *moments, json))
        else:
            report, rate = asyncio.run(_verify(loaded, archive, *moments, resume, jobs))
    except ArchiveDamaged as damaged:
        console.print_error(str(damaged))
        raise typer.Exit(UNVERIFIABLE) from None
    if json:
        (console.print_json_line if follow else console.print_json)(
            {**report.on_wire(), "rate": rate, "verified_with": verified_with()}
        )
    else:
        show(report)
        speed = f"{rate['records_per_cpu_second']:,} a CPU-second"
        console.note(f"{rate['records']:,} records in {rate['seconds']:,} s, {speed}")
    if report.total(Verdict.DIVERGENT) or not report.adds_up:
        raise typer.Exit(DIVERGENT)
    raise typer.Exit(VERIFIED if report.verified else UNVERIFIABLE)


async def _verify(
    settings: Settings, archive: Path | None, start: Moment, end: Moment, resume: bool, jobs: int | None
) -> tuple[Report, dict[str, Any]]:
    from streams.audit.helpers import Directory, Helpers, Kafka
    from streams.audit.verify import Verification
    from streams.cli.keeping import Kept
    from streams.cli.looking_back import opened

    watch = _Watch()
    async with opened(settings, archive, "verifying") as (history, progress):
        what = f"{await history.cluster_id()} {history.prefix} {archive} {start} {end}"
        kept = Kept(settings, what)
        source = (
            Kafka(settings.kafka_bootstrap_servers, settings.topic_prefix)
            if archive is None
            else Directory(str(archive))
        )
        async with Helpers(source, await _jobs(history, jobs) - 1) as helpers:
            verification = Verification(history, progress, start, end, keep=kept.keep, helpers=helpers)
            before = 0
            if resume:
                saved = kept.load()
                verification.resume(saved)
                before = saved.done
            report = await kept.watched(verification.run())
    return report, watch.rate(report.records - before)


async def _jobs(history: History, wanted: int | None) -> int:
    """How many processes are to fold events: one for each core where that is worth their start."""
    import os

    events, fleet = await history.extents("events"), await history.extents("fleet")
    if wanted is None:
        folded, facts = (sum(one.end - one.beginning for one in log.values()) for log in (events, fleet))
        worth_it = folded >= max(_LONG, _BEATS * facts)
        wanted = len(os.sched_getaffinity(0)) if worth_it else 1
    return min(wanted, len(events))


async def _following(
    settings: Settings, start: Moment, end: Moment, json: bool
) -> tuple[Report, dict[str, Any]]:
    from streams.audit.verify import Verification
    from streams.cli.looking_back import opened

    watch = _Watch()
    async with opened(settings, None, "verifying") as (history, _):
        report = await _followed(Verification(history, since=start, until=end, told=_teller(json)))
    return report, watch.rate(report.records)


def _cpu_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    import os

    return sum(os.times()[:4])


class _Watch:
    """What a verification costs, from now on."""

    def __init__(self) -> None:
        import time

        self._began = time.monotonic(), _cpu_seconds()

    def rate(self, records: int) -> dict[str, Any]:
        import time

        spent = _cpu_seconds() - self._began[1]
        return {
            "records": records,
            "seconds": round(time.monotonic() - self._began[0], 1),
            "cpu_seconds": round(spent, 2),
            "records_per_cpu_second": round(records / max(spent, 0.001)),
        }


async def _followed(verification: Verification) -> Report:
    """Until Ctrl-C, or SIGTERM."""
    import asyncio
    import signal
    import time

    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    last = 0.0

    def passed(cut: Cut) -> None:
        nonlocal last
        if not last or time.monotonic() - last > _STANDING:
            last = time.monotonic()
            state = "all is well" if verification.report.verified else "not all is well"
            console.note(f"{state} up to {cut}")

    return await verification.follow(enough, passed)


def _teller(json: bool) -> Callable[[Finding], None]:
    def tell(finding: Finding) -> None:
        if json:
            console.print_json_line(finding.on_wire())
        else:
            console.out().print(_line(finding))

    return tell


def verified_with() -> dict[str, Any]:
    """The code, schemas and defaults that a verification stands on, by their digests."""
    from models.fleet.seal import FOLD_VERSION
    from models.policy import DEFAULT_POLICY, digest_of
    from models.schema import schemas
    from streams.audit.code import digest_of_code, digest_of_json
    from streams.cli.version import PACKAGE, installed
    from streams.planner import WaterFillPlanner

    planner = WaterFillPlanner()
    return {
        "version": installed(PACKAGE),
        "code": digest_of_code(),
        "schemas": digest_of_json(schemas()),
        "default_policy": digest_of(DEFAULT_POLICY),
        "fold": FOLD_VERSION,
        "planner": f"{planner.name}/{planner.version}",
    }


def show(report: Report) -> None:
    """The report for people."""
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
        out.print(_line(finding))
    if any(report.ahead.values()):
        console.note(
            f"not judged, since nothing behind them has been forwarded yet: {report.ahead['events']:,} events, "
            f"{report.ahead['facts']:,} facts that follow from others, and {report.ahead['outputs']:,} outputs"
        )
    if len(report.findings) > _SHOWN:
        console.note(f"{len(report.findings) - _SHOWN:,} more; --json has them")
    out.print(
        "[bold green]verified[/]" if report.verified else "[bold red]not verified[/]", f"up to {report.cut}"
    )


def _line(finding: Finding) -> str:
    from rich.markup import escape

    from streams.audit.findings import Verdict

    where = f"{finding.place}" + ("" if finding.offset is None else f" at {finding.offset}")
    colour = "bold red" if finding.verdict is Verdict.DIVERGENT else "yellow"
    fields = finding.details.get("fields")
    more = "" if not isinstance(fields, dict) else f": {', '.join(fields)}"
    return f"[{colour}]{finding.verdict}[/] {where}: {finding.reason} {escape(finding.subject)}{more}"
