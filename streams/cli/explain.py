"""``coordinator explain task ID``: why a task is where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType


def explain(
    kind: Annotated[str, typer.Argument(help="What to explain: a task.", metavar="task")],
    name: Annotated[str, typer.Argument(metavar="ID", help="The task's id.", show_default=False)] = "",
    fleet: Fleet = "default",
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Say why a task is where it is: what it waits for, and what keeps each agent from taking it.

    The counts add up to the number of registered agents.

    [bold]Example[/]

      coordinator explain task nightly-42
    """
    from streams.cli.state import open_state
    from streams.errors import ConfigurationError

    if kind != "task" or not name:
        wanted = "ID" if kind == "task" else name or kind
        raise ConfigurationError(
            f"only a task can be explained, by its id: coordinator explain task {wanted}"
        )
    answer = open_state(bootstrap, prefix, fleet, http).explanation(name)
    if json:
        console.print_json(answer)
        return
    console.out().print(drawn(answer))


def drawn(answer: dict[str, Any]) -> RenderableType:
    """An explanation for people: the sentence first, then what stands behind it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from models.fleet.feasibility import MEANING

    state, reason = str(answer["state"]), str(answer["reason"])
    head = Text.assemble((answer["task_id"], "bold"), " is ", (state, console.STYLES.get(state, "")))
    if reason != state:
        head.append(f": {WAITS.get(reason, reason)}")
    if answer.get("agent_id"):
        head.append(f" (agent {answer['agent_id']})")
    parts: list[RenderableType] = [head]
    counts = {name: count for name, count in answer.get("counts", {}).items() if name != "ended"}
    if counts:
        parts.append(
            Text(f"\nOf {answer['agents']:,} {'agent' if answer['agents'] == 1 else 'agents'}", "bold")
        )
        grid = Table.grid(padding=(0, 2))
        grid.add_column(justify="right")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            meaning = {str(known): text for known, text in MEANING.items()}.get(name, name)
            grid.add_row(f"  {count:,}", Text(meaning, "green" if name == "eligible" else ""))
        parts.append(grid)
    elif "ended_at" not in answer:
        parts.append(Text("\nNo agent is registered.", "bold"))
    parts.append(Text())
    details = Table.grid(padding=(0, 2))
    details.add_column(style="dim")
    for name, value in answer.items():
        if name not in _TOLD and value not in (None, [], {}, 0):
            details.add_row(name.replace("_", " "), _shown(name, value))
    parts.append(details)
    return Group(*parts)


WAITS = {
    "impossible": "no registered agent could ever hold it",
    "coalition": "those that could take it now are no complete coalition",
    "backoff": "an attempt failed, and it waits before the next one",
    "waiting_for_plan": "somebody can take it; the next plan will place it",
    "capacity": "all agents that could take it are full",
    "cooling_down": "all agents that could take it turned it down a moment ago",
    "unavailable": "all agents that could hold it are away or get no new work",
}
"""Why a pending task waits, in a sentence."""

_TOLD = frozenset(
    {"at", "class", "fleet", "task_id", "state", "reason", "as_of", "agents", "agent_id", "counts"}
)


def _shown(name: str, value: Any) -> str:
    if name.endswith("_at") or name in ("deadline", "pending_since"):
        return console.clock(round(value * 1000))
    if name == "nearest":
        return f"{value['agent_id']}, which {value['meaning']}"
    if name == "requires":
        wanted = {word: amount for word, amount in value.items() if amount}
        return console.compact(wanted)
    return value if isinstance(value, str) else console.compact(value)
