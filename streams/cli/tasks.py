"""``coordinator tasks``: what a fleet has to do, does, and did lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import At, Bootstrap, Fleet, Http, Json, Limit, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

STATES = ("pending", "assigned", "running", "completed", "failed", "cancelled")
"""Those of ``models.fleet.views``, which is too heavy for --help."""


def tasks(
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
    """Show the tasks of a fleet: state, agent, attempts, and why one waits or failed.

    Those that have not ended come first. Ended ones are remembered for 7 days.

    [bold]Examples[/]

      coordinator tasks

      coordinator tasks --state pending -n 1000 --json | jq '.tasks | length'
    """
    from streams.cli.options import require_state
    from streams.cli.state import open_state

    require_state(state, STATES)
    answer = open_state(bootstrap, prefix, fleet, http, at).tasks(state, limit)
    if json:
        console.print_json(answer)
        return
    if not answer["tasks"]:
        console.note(f"the fleet {fleet!r} has no tasks" + (f" in the state {state!r}" if state else ""))
        return
    columns = ("task", "state", "agent", ("attempt", "right"), ("epoch", "right"), "reason")
    console.out().print(console.table(columns, (_row(task) for task in answer["tasks"])))
    if len(answer["tasks"]) == limit:
        console.note(f"the first {limit:,}; -n shows more")


def _row(task: dict[str, Any]) -> list[RenderableType]:
    from rich.markup import escape

    return [
        escape(task["task_id"]),
        console.word(task["state"]),
        escape(task.get("agent_id") or ""),
        str(task.get("attempt") or ""),
        str(task.get("epoch") or ""),
        escape(console.shortened(task.get("reason") or "", 60)),
    ]
