"""``coordinator agents``: who is in a fleet, and how each one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType


def agents(
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only those in this state, such as idle, busy, lost, cordoned."),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", "-a", help="Those that have deregistered, too.")] = False,
    fleet: Fleet = "default",
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
    from streams.cli.state import open_state

    answer = open_state(bootstrap, prefix, fleet, http).agents()
    if state is not None:
        answer["agents"] = [agent for agent in answer["agents"] if state in words(agent)]
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


def words(agent: Mapping[str, Any]) -> list[str]:
    """The states of an agent, the gravest first: what was found out about it, then how much it has to do."""
    flags = [flag for flag in ("drained", "cordoned") if agent.get(flag)]
    # What an agent said of itself before it fell silent is no news.
    return [str(agent["liveness"]), *flags] if agent["liveness"] != "alive" else [*flags, _work(agent)]


def _work(agent: Mapping[str, Any]) -> str:
    """How much it has to do by the ledger, its own word being a beat old; what only it can know, by its word."""
    status = str(agent["status"])
    if status not in ("active", "idle", "busy"):
        return status
    return "idle" if not agent["held"] else "busy" if agent["held"] >= agent["slots"] else "active"


def _row(agent: dict[str, Any]) -> list[RenderableType]:
    from rich.markup import escape

    return [
        escape(agent["agent_id"]),
        " ".join(console.word(word) for word in words(agent)),
        f"{agent['held']}/{agent['slots']}",
        escape(agent.get("zone") or ""),
        escape(", ".join(agent["capabilities"])),
    ]
