"""``coordinator coalitions``: agents that do one task together, and how far each of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import At, Bootstrap, Fleet, Http, Json, Limit, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

STATES = ("forming", "active", "degraded", "repairing", "dissolved")
"""Those of ``models.fleet.views``, which is too heavy for --help."""


def coalitions(
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help=f"Only those in this state: {', '.join(STATES)}."),
    ] = None,
    limit: Limit = 50,
    fleet: Fleet = "default",
    at: At = None,
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show the coalitions of a fleet: state, task, members and what each of them does.

    Dissolved ones are shown for ten minutes.

    [bold]Examples[/]

      coordinator coalitions

      coordinator coalitions --state degraded --json | jq -r '.coalitions[].task_id'
    """
    from streams.cli.options import require_state
    from streams.cli.state import open_state

    require_state(state, STATES)
    answer = open_state(bootstrap, prefix, fleet, http, at).coalitions(state, limit)
    if json:
        console.print_json(answer)
        return
    if not answer["coalitions"]:
        console.note(f"the fleet {fleet!r} has no coalitions" + (f" in the state {state!r}" if state else ""))
        return
    columns = ("coalition", "state", "task", ("epoch", "right"), "members")
    console.out().print(console.table(columns, (_row(one) for one in answer["coalitions"])))
    if len(answer["coalitions"]) == limit:
        console.note(f"the first {limit:,}; -n shows more")


def _row(coalition: dict[str, Any]) -> list[RenderableType]:
    from rich.markup import escape

    return [
        escape(coalition["coalition_id"]),
        console.word(coalition["state"]),
        escape(coalition["task_id"]),
        str(coalition["epoch"]),
        ", ".join(member_in_words(member) for member in coalition["members"]),
    ]


def member_in_words(member: dict[str, Any]) -> str:
    from rich.markup import escape

    role = f" as {escape(member['role'])}" if member["role"] else ""
    return f"{escape(member['agent_id'])}{role} ({console.word(member['state'])})"
