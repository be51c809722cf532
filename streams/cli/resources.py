"""``coordinator resources``: what a fleet has, which tenant holds how much of it, and how it should be divided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import At, Bootstrap, Fleet, Http, Json, Prefix

if TYPE_CHECKING:
    from rich.console import RenderableType

    from streams.settings import Settings


def resources(
    apply: Annotated[
        bool, typer.Option("--apply", help="Put what is proposed into force, as a policy of the fleet.")
    ] = False,
    fleet: Fleet = "default",
    at: At = None,
    json: Json = False,
    http: Http = None,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show the slots and named resources of all agents together: who holds and wants how much, what would be fair.

    What is proposed gives each tenant what it holds and wants as far as there is enough, else by its weight,
    never more than its quota, and divides the rest likewise. Applied, it is a limit: what a tenant holds
    beyond it is not taken away.

    [bold]Examples[/]

      coordinator resources

      coordinator resources --json | jq '.pools.gpu.tenants'

      coordinator resources --apply
    """
    import asyncio

    from streams.cli.options import settings
    from streams.cli.state import open_state
    from streams.errors import ConfigurationError

    if apply and at is not None:
        raise ConfigurationError("--apply is about now; leave out --at")
    answer = open_state(bootstrap, prefix, fleet, http, at).resources()
    applied = apply and answer["patch"] is not None
    if applied:
        asyncio.run(_apply(settings(bootstrap, prefix), fleet, answer["patch"], answer["version"]))
    if json:
        console.print_json({**answer, "applied": applied})
        return
    console.out().print(drawn(answer))
    if applied:
        console.note(f"asked for it as policy version {answer['version']}")
    elif apply:
        console.note("it is in force already")
    elif answer["patch"] is not None:
        console.note("coordinator resources --apply puts what is proposed into force")


def drawn(answer: dict[str, Any]) -> RenderableType:
    rows = []
    for name, pool in answer["pools"].items():
        of = f"{_amount(pool['held'])} of {_amount(pool['capacity'])} held"
        rows.append([name, f"[dim]{of}[/]", *[""] * 5])
        for tenant, use in pool["tenants"].items():
            figures = (use[column] for column in ("held", "wanted", "quota", "allocation", "proposed"))
            rows.append(["", tenant or "[dim]no tenant[/]", *map(_amount, figures)])
    numbers = ("held", "wanted", "quota", "allocation", "proposed")
    return console.table(("resource", "tenant", *((name, "right") for name in numbers)), rows)


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


async def _apply(settings: Settings, fleet: str, patch: dict[str, Any], version: int) -> None:
    from coordinator import Client
    from streams.cli.sdk import connected

    async with connected(settings) as connection, Client(connection, fleet=fleet) as client:
        await client.set_policy(patch, version)
