"""``coordinator plan``: what the next plan would do, and what it would do under another policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import At, Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

NO_CHANGE, CHANGES, FAILED = 0, 1, 2
_SHOWN = 40


def plan(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing. This command never does; scripts may say it.")
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--if",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A policy patch in JSON: what would be planned if it were in force?",
        ),
    ] = None,
    fleet: Fleet = "default",
    at: At = None,
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show what the next plan would do, without doing it: who gets which task, and why the others wait.

    Exit status 0 if it would do nothing (with --if: if the policy makes no difference), 1 if it would do
    something, 2 if that cannot be told.

    [bold]Examples[/]

      coordinator plan --dry-run

      echo '{"planning": {"objective": {"load": 0}}}' > policy.json; coordinator plan --if policy.json --json
    """
    from streams.errors import StreamsError

    try:
        answer = _read(policy, fleet, http, bootstrap, prefix, at)
    except StreamsError as error:
        console.print_error(str(error))
        raise typer.Exit(FAILED) from None
    if json:
        console.print_json(answer)
    else:
        console.out().print(drawn(answer))
    changes = answer["differs"] if policy is not None else answer["entries"]
    raise typer.Exit(CHANGES if changes else NO_CHANGE)


def _read(
    policy: Path | None,
    fleet: str,
    http: str | None,
    bootstrap: str | None,
    prefix: str | None,
    at: str | None,
) -> dict[str, Any]:
    from streams.cli.options import patch_in
    from streams.cli.state import open_state

    patch = None if policy is None else patch_in(policy)
    return open_state(bootstrap, prefix, fleet, http, at).plan(patch)


def drawn(answer: dict[str, Any]) -> RenderableType:
    """A dry run for people."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    entries = answer["entries"]
    if "differs" in answer:
        parts.append(_heading(answer, "Now"))
        parts.append(_heading(answer["if"], "With that policy"))
        differs = answer["differs"]
        parts.append(
            Text(f"\n{len(differs):,} {'task differs' if len(differs) == 1 else 'tasks differ'}", "bold")
        )
        rows = ((one["task_id"], _agents(one["now"]), _agents(one["if"])) for one in differs[:_SHOWN])
        if differs:
            parts.append(console.table(("task", "now", "with that policy"), rows))
        shown = len(differs)
    else:
        parts.append(_heading(answer, "The next plan"))
        rows = ((entry["task_id"], _kind(entry), _agents(entry["agents"])) for entry in entries[:_SHOWN])
        if entries:
            parts.append(console.table(("task", "", "agents"), rows))
        shown = len(entries)
    if shown > _SHOWN:
        parts.append(Text(f"the first {_SHOWN:,} of {shown:,}; --json shows all", "dim"))
    return Group(*parts)


def _heading(answer: dict[str, Any], who: str) -> RenderableType:
    from rich.text import Text

    from streams.cli.explain import WAITS

    count = answer["placed"]
    text = Text.assemble((who, "bold"), f" would place {count:,} {'task' if count == 1 else 'tasks'}")
    if answer.get("truncated"):
        text.append(" and look at the others later: its budget does not suffice for all", "yellow")
    for reason, waiting in answer["pending"].items():
        why = WAITS.get(reason, "too many agents and kinds of tasks to find out why")
        text.append(f"\n  {waiting:,} would wait: {why}")
    return text


def _kind(entry: dict[str, Any]) -> str:
    words = {
        "assign_task": "to",
        "form_coalition": "coalition of",
        "repair_coalition": "also joins",
        "preempt_task": "gives way at",
        "move_task": "moves to",
    }
    return words.get(str(entry["type"]), "")


def _agents(agents: list[dict[str, Any]] | None) -> str:
    from rich.markup import escape

    if agents is None:
        return "[dim]waits[/]"
    return ", ".join(
        escape(one["agent_id"]) + (f" as {escape(one['role'])}" if one["role"] else "") for one in agents
    )
