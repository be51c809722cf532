"""``coordinator story``: everything that happened to a task or an agent, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Archived, At, Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

    from models.fleet import FleetFold

KINDS = ("task", "agent")
_SHOWN = 90
"""Characters of what a record says."""
_NOT_TOLD = frozenset(
    {
        "type",
        "directive_id",
        "plan_id",
        "issued_at",
        "ack_by",
        "ack_timeout",
        "expires_at",
        "incarnation",
        "seq",
    }
)
"""What people need not read in each line; --json has it."""


def story(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Of what: task or agent.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="Its id.", show_default=False)] = "",
    at: At = None,
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Tell everything that happened to a task or an agent, in order: what was said, and what came of it.

    Each line is a record of the fleet log, with the event that it stems from. It is folded from the topics; with
    --at it ends at that moment.

    [bold]Examples[/]

      coordinator story task nightly-42

      coordinator story agent welder-7 --json | jq -r '.story[] | [.time, .type] | @tsv'
    """
    import asyncio

    from streams.audit.moments import parse_moment
    from streams.audit.story import Kind, Storyteller
    from streams.cli.looking_back import heard
    from streams.cli.options import require_fleet, settings
    from streams.errors import ConfigurationError

    if kind not in KINDS or not name:
        wanted = f"{kind} ID" if kind in KINDS else f"task {name or kind}"
        raise ConfigurationError(f"a task or an agent has a story, by its id: coordinator story {wanted}")
    require_fleet(fleet)
    of: Kind = "task" if kind == "task" else "agent"

    def listen(fold: FleetFold, first: int) -> Storyteller:
        return Storyteller(fold, fleet, of, name)

    moment = parse_moment(at or "now")
    past, told = asyncio.run(heard(settings(bootstrap, prefix), fleet, listen, moment, archive))
    entries = [entry.on_wire() for entry in told.entries]
    if json:
        console.print_json({"at": past.at, "fleet": fleet, f"{kind}_id": name, "story": entries})
    elif entries:
        console.out().print(drawn(entries, kind))
    if not entries:
        console.print_error(f"nothing was ever said of the {kind} {name!r} in the fleet {fleet!r}")
        raise typer.Exit(1)


def drawn(entries: list[dict[str, Any]], kind: str) -> RenderableType:
    """A story for people."""
    from rich.markup import escape

    own = f"{kind}_id"
    rows: list[list[str]] = []
    for entry in entries:
        source = entry["source"]
        stems = "" if source is None else f"events/{source['partition']} at {source['offset']}"
        time = console.clock(round(entry["time"] * 1_000))
        said = escape(_said(entry, own))
        rows.append([time, f"{entry['offset']:,}", console.word(entry["type"]), said, stems])
        for brought in entry["brings"]:
            what = brought.get("directive_id") or ""
            said = escape(f"{what} {_words(brought, own)}".strip())
            rows.append(["", "", f"  → {console.word(str(brought['type']))}", said, ""])
    return console.table(("time", ("offset", "right"), "what", "", "stems from"), rows)


def _said(entry: dict[str, Any], own: str) -> str:
    says = entry["says"]
    if "directives" in says:
        planner = says.get("planner", {})
        return f"{says.get('plan_id', '')}, based on {says.get('based_on')}, by {planner.get('name')}"
    return _words(says, own)


def _words(said: dict[str, Any], own: str) -> str:
    import orjson

    words = [
        f"{name} {value if isinstance(value, str) else orjson.dumps(value).decode()}"
        for name, value in said.items()
        if name not in _NOT_TOLD and name != own and value is not None
    ]
    return console.shortened(", ".join(words), _SHOWN)
