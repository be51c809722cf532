"""``coordinator state`` and ``coordinator diff``: a fleet as it was, and what became different."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Archived, At, Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

KINDS = ("agent", "task", "coalition")
_SHOWN = 60
"""Characters of a value in a table."""


def state(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="Of one alone: agent, task or coalition.")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[ID]", help="Its id.")] = None,
    at: At = None,
    fleet: Fleet = "default",
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Show a fleet, or one agent, task or coalition of it, as it is or as it was at a moment.

    The past is folded from the fleet log, from its start to that moment. What is shown names the cut that it was
    read at; the same cut shows the same again.

    [bold]Examples[/]

      coordinator state --at 2026-11-22T10:00Z

      coordinator state task nightly-42 --at default.1834.0 --json
    """
    from streams.cli.state import open_state

    _require(kind, name)
    read = open_state(bootstrap, prefix, fleet, http, at, archive)
    answer = read.summary() if kind is None or name is None else read.one(kind, name)
    if json:
        console.print_json(answer)
        return
    shown = answer if kind is None else answer[kind]
    console.out().print(_fields(shown))
    where = answer["at"]
    console.note(f"at {where.get('cut') or where}")


def diff(
    before: Annotated[
        str, typer.Argument(metavar="MOMENT", help="From when; as for --at of other commands.")
    ],
    after: Annotated[str, typer.Argument(metavar="[MOMENT]", help="To when.")] = "now",
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    archive: Archived = None,
) -> None:
    """Show what became different in a fleet between two moments: agents, tasks and coalitions, field by field.

    Exit status 0 if nothing did, 1 if something did.

    [bold]Examples[/]

      coordinator diff 2026-11-22T10:00Z 2026-11-22T10:05Z

      coordinator diff -100 --json | jq -r '.differences[] | [.kind, .id, .change] | @tsv'
    """
    from streams.audit.differences import differences
    from streams.audit.moments import parse_moment
    from streams.cli.options import require_fleet, settings
    from streams.cli.state import TopicState

    require_fleet(fleet)
    moments = [parse_moment(before), parse_moment(after)]
    loaded = settings(bootstrap, prefix)
    old, new = (TopicState.read(loaded, fleet, moment, archive) for moment in moments)
    found = list(differences(old.fold, new.fold, fleet))
    if json:
        answer = {"fleet": fleet, "before": old.at, "after": new.at, "differences": found}
        console.print_json(answer)
    elif found:
        rows = [_changed(one, field, values) for one in found for field, values in _shown(one)]
        console.out().print(console.table(("kind", "id", "change", "field", "before", "after"), rows))
    else:
        console.note(f"nothing in the fleet {fleet!r} is different")
    raise typer.Exit(1 if found else 0)


def _require(kind: str | None, name: str | None) -> None:
    from streams.errors import ConfigurationError

    if kind is not None and (kind not in KINDS or name is None):
        wanted = f"{kind} ID" if kind in KINDS else f"task {name or kind}"
        raise ConfigurationError(
            f"the whole fleet can be shown, or one agent, task or coalition: coordinator state {wanted}"
        )


def _fields(shown: Mapping[str, Any]) -> RenderableType:
    rows = [
        [name, _value(value)] for name, value in shown.items() if name != "at" and value not in (None, {}, [])
    ]
    return console.table(("field", "value"), rows)


def _shown(one: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """Of what is new or gone its state alone; people know where to look for more."""
    fields: dict[str, list[Any]] = one["fields"]
    if one["change"] == "changed":
        return list(fields.items())
    telling = [name for name in ("state", "liveness") if name in fields]
    return [(name, fields[name]) for name in telling] or [("", [None, None])]


def _changed(one: Mapping[str, Any], field: str, values: list[Any]) -> list[RenderableType]:
    from rich.markup import escape

    return [one["kind"], escape(one["id"]), one["change"], field, *(_value(value) for value in values)]


def _value(value: Any) -> str:
    import orjson
    from rich.markup import escape

    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    return escape(console.shortened(text, _SHOWN))
