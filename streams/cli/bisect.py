"""``coordinator bisect``: the record at which something became true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Archived, Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from pathlib import Path

    from models.fleet import FleetFold
    from streams.audit.bisect import Found
    from streams.audit.moments import Moment
    from streams.audit.past import Past
    from streams.audit.predicate import Predicate
    from streams.settings import Settings


def bisect(
    where: Annotated[str, typer.Option("--where", metavar="EXPR", help="The condition.", show_default=False)],
    start: Annotated[
        str, typer.Option("--from", metavar="MOMENT", help="From when; as for --at.")
    ] = "beginning",
    end: Annotated[str, typer.Option("--to", metavar="MOMENT", help="To when.")] = "now",
    monotone: Annotated[
        bool,
        typer.Option("--monotone", help="It stays true once it is: look at snapshots first, by halving."),
    ] = False,
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Find the first record of the fleet log after which a condition on the fleet's state holds.

    The condition is a part of Python: task["ID"], agent["ID"] and coalition["ID"] have the fields that
    coordinator state KIND ID --json shows; pending, live, submitted, completed, failed, cancelled, assignments,
    moved, preempted, registered, suspected, tripped, policy_version, offset and time are numbers, as are
    rejections["REASON"] and refusals["REASON"]; summary is what coordinator state --json shows, and takes longer.
    What is not there is None. Comparisons, and, or, not, in, + - * / and len() can be used.

    Every record is looked at. With --monotone only those behind the last snapshot at which it does not hold yet.

    Exit status 0 if it was found, 1 if it holds nowhere.

    [bold]Examples[/]

      coordinator bisect --where 'task["nightly-42"].state == "failed"'

      coordinator bisect --where 'pending > 100 and suspected > 2' --from 2026-11-22T10:00Z --json

      coordinator bisect --monotone --where 'completed >= 10000'
    """
    import asyncio

    from streams.audit.moments import parse_moment
    from streams.audit.predicate import Predicate
    from streams.cli.options import require_fleet, settings

    require_fleet(fleet)
    predicate = Predicate(where)
    loaded = settings(bootstrap, prefix)
    moments = parse_moment(start), parse_moment(end)
    past, found = asyncio.run(_bisected(loaded, fleet, predicate, *moments, archive, monotone))
    if json:
        console.print_json(_as_json(where, past, found))
    elif found is not None:
        _show(found, past)
    if found is None:
        console.print_error(f"it holds nowhere up to {past.cut}")
        raise typer.Exit(1)


async def _bisected(
    settings: Settings,
    fleet: str,
    predicate: Predicate,
    start: Moment,
    end: Moment,
    archive: Path | None,
    monotone: bool,
) -> tuple[Past, Found | None]:
    from streams.audit.bisect import Seeker, last_false
    from streams.audit.past import Log
    from streams.cli.looking_back import heard_from, opened, snapshots_of

    def seeking(fold: FleetFold, first: int) -> Seeker:
        return Seeker(fold, fleet, predicate, first)

    snapshots = snapshots_of(settings)
    async with opened(settings, archive, "looking for it") as (history, progress):
        log = await Log.of(history, fleet)
        first = await log.offset_of(start)
        if monotone:
            first = last_false(log, snapshots, predicate, first, await log.offset_of(end))
        past, seeker = await heard_from(log, first, seeking, end, progress, snapshots)
    seeker.end()
    return past, seeker.found


def _as_json(where: str, past: Past, found: Found | None) -> dict[str, Any]:
    from streams.cli.replay import as_json

    record = None
    if found is not None and found.record is not None:
        record = as_json(found.record, found.outputs)
    return {"where": where, "holds": found is not None, "at": past.at, "record": record}


def _show(found: Found, past: Past) -> None:
    from streams.cli.replay import show

    if found.record is None:
        console.note("it held before the first record that was looked at")
    else:
        show(found.record, found.outputs)
    console.note(f"it holds at {past.cut}; look at it with --at of other commands")
