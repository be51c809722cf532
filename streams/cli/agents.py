"""``coordinator agents``: who is in a fleet, and how each one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import At, Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

STATES = (
    "active",
    "idle",
    "busy",
    "draining",
    "offline",
    "error",
    "drained",
    "cordoned",
    "tripped",
    "probation",
    "throttled",
    "loaded",
    "suspected",
    "lost",
    "deregistered",
)
"""Those of ``models.fleet.views``, which is too heavy for --help."""


def agents(
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help=f"Only those in this state: {', '.join(STATES)}."),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", "-a", help="Those that have deregistered, too.")] = False,
    fleet: Fleet = "default",
    at: At = None,
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show the agents of a fleet: state, slots in use, capabilities.

    [bold]Examples[/]

      coordinator agents

      coordinator agents --state lost --json | jq -r '.agents[].agent_id'
    """
    from models.fleet.views import agent_states
    from streams.cli.options import require_state
    from streams.cli.state import open_state

    require_state(state, STATES)
    answer = open_state(bootstrap, prefix, fleet, http, at).agents()
    if state is not None:
        answer["agents"] = [agent for agent in answer["agents"] if state in agent_states(agent)]
    elif not everyone:
        answer["agents"] = [agent for agent in answer["agents"] if agent["liveness"] != "deregistered"]
    if json:
        console.print_json(answer)
        return
    if not answer["agents"]:
        console.note(f"the fleet {fleet!r} has no agents" + (f" in the state {state!r}" if state else ""))
        return
    columns = ("agent", "state", "slots", "zone", "capabilities")
    console.out().print(console.table(columns, (_row(agent) for agent in answer["agents"])))


def _row(agent: dict[str, Any]) -> list[RenderableType]:
    from rich.markup import escape

    from models.fleet.views import agent_states

    return [
        escape(agent["agent_id"]),
        " ".join(console.word(word) for word in agent_states(agent)),
        f"{agent['held']}/{agent['slots']}",
        escape(agent.get("zone") or ""),
        escape(", ".join(agent["capabilities"])),
    ]
