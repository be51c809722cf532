"""Options that several commands share, so that the same thing has the same name and help everywhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from streams.errors import ConfigurationError

if TYPE_CHECKING:
    from streams.settings import Settings

_CONNECTION = "Connection"

Bootstrap: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        help="Kafka's address. By default KAFKA_BOOTSTRAP_SERVERS, else the coordinator dev that runs in this "
        "directory, else 127.0.0.1:9092.",
        rich_help_panel=_CONNECTION,
        show_default=False,
    ),
]
Prefix: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="PREFIX",
        help="What all topic names begin with (COORDINATOR_TOPIC_PREFIX; coordinator.).",
        rich_help_panel=_CONNECTION,
        show_default=False,
    ),
]
Http: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="COORDINATOR_HTTP",
        help="A worker's HTTP address. By default that of a worker of this directory; without one the state is "
        "folded from the topics.",
        rich_help_panel=_CONNECTION,
        show_default=False,
    ),
]
At: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="MOMENT",
        help="As it was then, folded from the log: now, a time (2026-11-22T10:00Z by arrival, event:… by events' "
        "own time), a cut, the id of a directive (just before it), or an offset of the fleet log.",
        show_default=False,
    ),
]
Archived: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--archive",
        metavar="DIR",
        help="Read an archive that coordinator export has written, instead of Kafka.",
        rich_help_panel=_CONNECTION,
        show_default=False,
    ),
]
Fleet: TypeAlias = Annotated[str, typer.Option(metavar="FLEET", help="The fleet it is about.")]
Limit: TypeAlias = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=100_000, metavar="N", help="At most so many.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def settings(bootstrap: str | None = None, prefix: str | None = None, **flags: object) -> Settings:
    """The settings that a client command works with.

    Without any address from flags, environment or file, the one that a ``coordinator dev`` of this directory
    left is taken.
    """
    from streams.dev.addresses import running
    from streams.settings import load_settings

    loaded = load_settings(kafka_bootstrap_servers=bootstrap, topic_prefix=prefix, **flags)
    if "kafka_bootstrap_servers" in loaded.model_fields_set:
        return loaded
    found = running()
    if found is None:
        return loaded
    update = {"kafka_bootstrap_servers": found.bootstrap}
    if "topic_prefix" not in loaded.model_fields_set:
        update["topic_prefix"] = found.prefix
    return loaded.model_copy(update=update)


def require_state(state: str | None, known: Collection[str]) -> None:
    """Refuse a state that nothing can be in."""
    if state is not None and state not in known:
        raise ConfigurationError(f"no state is called {state!r}; there are {', '.join(known)}")


def require_fleet(fleet: str) -> None:
    """Refuse a name that no fleet can have."""
    import re

    from models.fields import FLEET_PATTERN, FLEET_RULE

    if not re.fullmatch(FLEET_PATTERN, fleet):
        raise ConfigurationError(f"{fleet!r} cannot be a fleet's name; give {FLEET_RULE}")


def given(context: typer.Context, *names: str) -> list[str]:
    """Those of the parameters that stand on the command line, by the names of their options."""
    return [
        f"--{name.replace('_', '-')}"
        for name in names
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    ]


def patch_in(file: Path) -> dict[str, Any]:
    """The policy patch in a file.

    Raises:
        ConfigurationError: if it is none.
    """
    import orjson

    from models.codec import InvalidRecord
    from models.policy import DEFAULT_POLICY, patched

    try:
        patch = orjson.loads(file.read_bytes())
        if not isinstance(patch, dict):
            raise ConfigurationError(f"{file} holds no JSON object")
        patched(DEFAULT_POLICY, patch, 1)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{file} is no JSON: {error}") from None
    except InvalidRecord as error:
        raise ConfigurationError(f"{file} is no policy: {error.detail}") from None
    return patch
