"""``coordinator backtest``: what another policy would have made of recorded history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Archived, Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

    from streams.audit.backtest import Outcome
    from streams.audit.moments import Moment
    from streams.audit.past import Past
    from streams.audit.relive import Relived
    from streams.settings import Settings

_SHOWN = 20
_RECORDED, _OTHER = ("recorded", "right"), ("with that policy", "right")
_NOT_FOLLOWED = ("liveness", "windows", "register_unknown_agents")
"""Parts of a policy by which events become facts: those stand in the fleet log, as they were."""
_OPEN = (
    "Each decision is an answer to what was the case then; what came after answered the recorded decisions. "
    "With --closed-loop tasks and agents live it again under the other policy."
)
_CLOSED = (
    "A simulation: agents take as long, refuse and fail as they did. Where living the recorded policy again "
    "differs from what was recorded, it is wrong; the other policy differs from that by what it does."
)


def backtest(
    policy: Annotated[
        Path,
        typer.Option(
            "--policy",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A policy patch in JSON: what the other policy has otherwise.",
            show_default=False,
        ),
    ],
    start: Annotated[
        str, typer.Option("--from", metavar="MOMENT", help="What is before is taken as it was; as for --at.")
    ] = "beginning",
    end: Annotated[str, typer.Option("--to", metavar="MOMENT", help="Where it ends.")] = "now",
    closed_loop: Annotated[
        bool,
        typer.Option("--closed-loop", help="Live it again: agents answer what they would be told."),
    ] = False,
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Try another policy on recorded history.

    At every moment at which something was planned, and once a second in between, the planner is asked with the
    other policy about the state as it was: which tasks would have gone elsewhere, earlier or not then, and what
    either plan costs by the other's objective (regret). What followed from the recorded decisions stays.

    With --closed-loop the same tasks, agents and troubles are lived again, once under the recorded policy and once
    under the other: agents take as long for a task as they did, refuse and fail as they did.

    [bold]Examples[/]

      echo '{"planning": {"objective": {"wrong_zone": 2000}}}' > policy.json

      coordinator backtest --policy policy.json

      coordinator backtest --policy policy.json --from 2026-11-22T10:00Z --closed-loop --json
    """
    import asyncio

    from streams.audit.moments import parse_moment
    from streams.cli.options import patch_in, require_fleet, settings

    require_fleet(fleet)
    patch = patch_in(policy)
    past, found = asyncio.run(
        _tested(
            settings(bootstrap, prefix),
            fleet,
            patch,
            parse_moment(start),
            parse_moment(end),
            closed_loop,
            archive,
        )
    )
    stays = [name for name in _NOT_FOLLOWED if name in patch]
    if json:
        mode = "closed_loop" if closed_loop else "open_loop"
        console.print_json(
            {"mode": mode, "at": past.at, "policy": patch, "not_followed": stays, **found.on_wire()}
        )
        return
    console.out().print(drawn(found))
    if stays:
        console.note(f"{', '.join(stays)}: by these events become facts, which stay as they were recorded")


async def _tested(
    settings: Settings,
    fleet: str,
    patch: dict[str, Any],
    start: Moment,
    end: Moment,
    closed_loop: bool,
    archive: Path | None,
) -> tuple[Past, Outcome | Relived]:
    from streams.audit.backtest import backtested
    from streams.audit.past import Log
    from streams.audit.relive import relived
    from streams.cli.looking_back import opened, snapshots_of

    what = "living it again" if closed_loop else "planning it again"
    async with opened(settings, archive, what) as (history, progress):
        log = await Log.of(history, fleet)
        first = await log.offset_of(start)
        run = relived if closed_loop else backtested
        return await run(log, first, end, patch, progress, snapshots_of(settings))


def drawn(found: Outcome | Relived) -> RenderableType:
    """For people."""
    from streams.audit.relive import Relived

    return _lived(found.on_wire()) if isinstance(found, Relived) else _decided(found.on_wire())


def _decided(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    tasks, waits = found["tasks"], found["waits"]
    plans, quiet = found["plans"], found["quiet"]
    parts: list[RenderableType] = [
        Text(f"{plans:,} plans, and {quiet:,} seconds without one, planned again", "bold"),
        console.table(("tasks would have gone", ("", "right")), _fates(tasks, found["gained"])),
        Text(),
        console.table(
            ("", ("recorded", "right"), ("with that policy", "right")), _entries(found["entries"], waits)
        ),
        Text(),
        _regret("What was decided", "by the other policy's objective", found["regret"]["recorded"]),
        _regret("What would have been", "by the recorded one's", found["regret"]["other"]),
    ]
    differences = found["differences"]
    if differences:
        rows = (
            (str(one["based_on"]), one["task_id"], _agents(one["recorded"]), _agents(one["other"]))
            for one in differences[:_SHOWN]
        )
        parts += [Text(), console.table(("based on", "task", "recorded", "with that policy"), rows)]
        if len(differences) > _SHOWN:
            parts.append(Text(f"the first {_SHOWN:,}; --json shows up to {len(differences):,}", "dim"))
    return Group(*parts, Text(f"\n{_OPEN}", "dim"))


def _fates(tasks: dict[str, int], gained: dict[str, Any]) -> list[tuple[str, str]]:
    by = "" if gained["p50"] is None else f", by {console.duration(gained['p50'])} or more for half of them"
    words = {
        "same": "to the same agents",
        "elsewhere": "to others",
        "earlier": f"earlier{by}",
        "later": "not then; when, nobody knows",
        "only_other": "to somebody, and went to nobody",
    }
    return [(words[name], f"{count:,}") for name, count in tasks.items()]


def _entries(entries: dict[str, dict[str, int]], waits: dict[str, Any]) -> list[tuple[str, str, str]]:
    recorded, other = entries["recorded"], entries["other"]
    rows = [
        (console.word(name), f"{recorded.get(name, 0):,}", f"{other.get(name, 0):,}")
        for name in sorted({*recorded, *other})
    ]
    return rows + [
        (f"waited, {name}", console.duration(waits["recorded"][name]), console.duration(waits["other"][name]))
        for name in ("p50", "p95", "p99")
    ]


def _regret(whose: str, by: str, regret: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    words = f"{whose} costs {regret['more']:+,} ({regret['share']:+.2%}) {by}"
    if regret["worst_based_on"] is not None:
        words += f"; most, {regret['worst']:+,}, in the plan based on {regret['worst_based_on']:,}"
    return Text(words)


def _lived(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    fleets = [found[name] for name in ("recorded", "again", "other")]
    rows: list[tuple[str, ...]] = []
    for name in ("submitted", "unassigned", "unfinished", "deadlines_missed", "moved", "preempted"):
        rows.append((name.replace("_", " "), *(f"{fleet[name]:,}" for fleet in fleets)))
    for part in ("results", "directives"):
        for name in sorted({key for fleet in fleets for key in fleet[part]}):
            rows.append((console.word(name), *(f"{fleet[part].get(name, 0):,}" for fleet in fleets)))
    for part, words in (("waits", "waited"), ("turnaround", "took in all")):
        for name in ("mean", "p50", "p95", "p99"):
            rows.append((f"{words}, {name}", *(console.duration(fleet[part][name]) for fleet in fleets)))
    table = console.table(("", _RECORDED, ("lived again", "right"), _OTHER), rows)
    return Group(table, Text(f"\n{_CLOSED}", "dim"))


def _agents(agents: list[str] | None) -> str:
    from rich.markup import escape

    return "[dim]nobody[/]" if agents is None else escape(", ".join(agents))
