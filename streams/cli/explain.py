"""``coordinator explain``: why a task, an agent or a coalition is where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import At, Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType


def explain(
    kind: Annotated[
        str, typer.Argument(help="What to explain: task, agent, coalition or directive.", metavar="KIND")
    ],
    name: Annotated[str, typer.Argument(metavar="ID", help="Its id.", show_default=False)] = "",
    fleet: Fleet = "default",
    at: At = None,
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Say why a task is where it is: what it waits for, and what keeps each agent from taking it.

    Of an agent: why it gets the work that it gets, and what keeps the tasks that wait from it. Of a
    coalition: who is missing, and what keeps each agent from that place. The counts add up, to the number
    of registered agents or of pending tasks. Of a directive: what led to it, what else there was, and what
    came of it.

    [bold]Examples[/]

      coordinator explain task nightly-42

      coordinator explain agent welder-7

      coordinator explain directive default.1834.0
    """
    from streams.cli import cause
    from streams.cli.options import settings
    from streams.cli.state import open_state
    from streams.errors import ConfigurationError

    if kind not in (*KINDS, "directive") or not name:
        wanted = f"{kind} ID" if kind in KINDS else f"task {name or kind}"
        raise ConfigurationError(
            "a task, an agent, a coalition or a directive can be explained, by its id: "
            f"coordinator explain {wanted}"
        )
    if kind == "directive":
        if at is not None or http is not None:
            raise ConfigurationError("a directive is explained from the whole log; leave out --at and --http")
        answer = cause.read(settings(bootstrap, prefix), name)
        if json:
            console.print_json(answer)
        else:
            console.out().print(cause.drawn(answer))
        return
    answer = open_state(bootstrap, prefix, fleet, http, at).explanation(kind, name)
    if json:
        console.print_json(answer)
        return
    console.out().print(drawn(answer, kind))


KINDS = ("task", "agent", "coalition")


def drawn(answer: dict[str, Any], kind: str = "task") -> RenderableType:
    """An explanation for people: the sentence first, then what stands behind it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    state, reason = str(answer["state"]), str(answer["reason"])
    head = Text.assemble((answer[f"{kind}_id"], "bold"), " is ", (state, console.STYLES.get(state, "")))
    if reason != state:
        head.append(f": {_why(kind, reason)}")
    if kind == "task" and answer.get("agent_id"):
        head.append(f" (agent {answer['agent_id']})")
    parts: list[RenderableType] = [head]
    counts = {name: count for name, count in answer.get("counts", {}).items() if name != "ended"}
    whole, what = ("pending", "pending task") if kind == "agent" else ("agents", "agent")
    if counts:
        parts.append(Text(f"\nOf {answer[whole]:,} {what}{'' if answer[whole] == 1 else 's'}", "bold"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(justify="right")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            meaning = _meaning(kind, name)
            grid.add_row(f"  {count:,}", Text(meaning, "green" if name == "eligible" else ""))
        parts.append(grid)
    elif kind == "agent":
        parts.append(Text("\nNo task waits.", "bold"))
    elif kind == "task" and "ended_at" not in answer:
        parts.append(Text("\nNo agent is registered.", "bold"))
    if answer.get("placement"):
        parts.extend(places(answer["placement"]))
    parts.append(Text())
    details = Table.grid(padding=(0, 2))
    details.add_column(style="dim")
    for name, value in answer.items():
        about_another = name == "task_id" and kind == "coalition"
        usual = value in (None, [], {}, 0) or (name in _USUAL and value[_USUAL[name][0]] == _USUAL[name][1])
        if (name not in _TOLD or about_another) and not usual:
            details.add_row(name.replace("_", " "), _shown(name, value))
    parts.append(details)
    return Group(*parts)


_USUAL = {"breaker": ("state", "closed"), "load": ("taken", 0)}
"""What is not worth a line while it is so."""

WAITS = {
    "impossible": "no registered agent could ever hold it",
    "coalition": "those that could take it now are no complete coalition",
    "backoff": "an attempt failed, and it waits before the next one",
    "waiting_for_plan": "somebody can take it; the next plan will place it",
    "preempting": "another task gives way to it and has been told to stop",
    "quota": "its tenant holds as much as it may",
    "spread": "whoever has room for it is where there are enough tasks of its group already",
    "outranked": "who could take it is kept free for a more urgent coalition",
    "capacity": "all agents that could take it are full",
    "cooling_down": "all agents that could take it turned it down a moment ago",
    "unavailable": "all agents that could hold it are away or get no new work",
}
"""Why a pending task waits, in a sentence."""

MEANS = {
    "available": "it gets new work",
    "full": "all its slots are held",
    "forming": "not all of its members have accepted",
    "repairing": "not all of its new members have accepted",
    "degraded": "it lacks members",
}
"""What it means that an agent or a coalition is so, where the word alone does not say it."""

_OF_TASKS = {
    "capability": "require a capability that it lacks, or none of its own for their coalition",
    "label": "require labels that it has not",
    "resource": "require more of a resource than it has",
    "slots": "take more slots than it has",
    "refuses": "are not of the kinds, or tenants, that it takes",
    "no_credit": "take more slots than it has free",
    "probation": "take more slots than it gets work for until it has completed some",
    "throttled": "take more slots than it gets work for, since it failed at too many tasks lately",
    "loaded": "take more slots than are left to it by other work that it reports",
    "resource_held": "require more of a resource than it has free",
    "spread": "are of groups of which there are enough where it is",
    "eligible": "could go to it now",
}
"""What keeps a task from an agent, seen from the agent."""

_TOLD = frozenset(
    {
        *(
            "at",
            "class",
            "fleet",
            "task_id",
            "coalition_id",
            "state",
            "reason",
            "as_of",
            "agents",
            "agent_id",
        ),
        *("counts", "pending", "placement"),
    }
)


def places(placement: dict[str, Any]) -> list[RenderableType]:
    """What its place costs, beside the cheapest others."""
    from rich.text import Text

    parts = ("cost", "work", "zone", "labels", "spread", "load")
    places = [placement, *placement["alternatives"]]
    rows = [[str(place["agent_id"]), *(f"{place[name]:,}" for name in parts)] for place in places]
    rows[0][0] += " (here)"
    cheaper, eligible = placement["cheaper"], placement["eligible"]
    said = f"{cheaper:,} of {eligible:,} others that could take it now would be cheaper"
    title = Text.assemble(("\nWhat it costs here, and elsewhere now", "bold"), (f": {said}", "dim"))
    return [title, console.table(("agent", *((name, "right") for name in parts)), rows)]


def _why(kind: str, reason: str) -> str:
    from models.fleet.feasibility import MEANING

    keeps = {str(known): text for known, text in MEANING.items()}
    if kind == "agent" and reason in keeps:
        return f"it {keeps[reason]}"
    return WAITS.get(reason, MEANS.get(reason, reason))


def _meaning(kind: str, name: str) -> str:
    from models.fleet.feasibility import MEANING

    if kind == "agent" and name in _OF_TASKS:
        return _OF_TASKS[name]
    if name == "member":
        return "is a member already"
    meaning = {str(known): text for known, text in MEANING.items()}.get(name, name)
    return f"wait since it {meaning}" if kind == "agent" else meaning


def _shown(name: str, value: Any) -> str:
    if name.endswith("_at") or name in ("deadline", "pending_since", "act_by"):
        return console.clock(round(value * 1000))
    if name == "breaker":
        until = f" until {console.clock(round(value['until'] * 1000))}" if value.get("until") else ""
        failed = f", after {', '.join(value['failed'])}" if value.get("failed") else ""
        return f"{value['state'].replace('_', '-')}{until}{failed}"
    if name == "slots":
        bounds = [f"{bound} usable, {reason}" for reason, bound in value["bounds"].items()]
        return ", ".join([f"{value['held']} of {value['total']} held", *bounds])
    if name == "load":
        return f"{value['reported']:.0%} reported, {value['taken']} slots taken by other work"
    if name == "nearest":
        return f"{value['agent_id']}, which {value['meaning']}"
    if name == "members":
        return ", ".join(
            one["agent_id"] + (f" as {one['role']}" if one["role"] else "") + f" ({one['state']})"
            for one in value
        )
    if name == "requires":
        wanted = {word: amount for word, amount in value.items() if amount}
        return console.compact(wanted)
    return value if isinstance(value, str) else console.compact(value)
