"""``coordinator schema``: the wire contract as JSON Schema."""

from __future__ import annotations

from typing import Annotated

import typer


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one; by default all, by name.")
    ] = None,
) -> None:
    """Print the JSON Schemas of what stands on the topics, generated from the models.

    [bold]Examples[/]

      coordinator schema > coordinator.schema.json

      coordinator schema event
    """
    from models.schema import schemas
    from streams.cli import console
    from streams.errors import ConfigurationError

    known = schemas()
    if name is None:
        console.print_json(known)
        return
    if name.removesuffix("s") in known:
        name = name.removesuffix("s")  # as the topic is called
    if name not in known:
        raise ConfigurationError(f"no schema is named {name!r}; there are {', '.join(known)}")
    console.print_json(known[name])
