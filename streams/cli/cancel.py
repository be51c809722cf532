"""``coordinator cancel``: ask for the end of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from streams.settings import Settings


def cancel(
    task_id: Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it stands in the result.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for its result: cancelled, or how it had ended before.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait.")] = 60.0,
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Cancel a task. An agent that works on it is told to stop.

    Without --wait it says only that the wish stands in the log; a task that has ended stays as it is.

    [bold]Example[/]

      coordinator cancel nightly-42 --reason "wrong input" --wait
    """
    import asyncio

    from streams.cli.options import settings

    answer = asyncio.run(
        _cancel(settings(bootstrap, prefix), fleet, task_id, reason, timeout if wait else None)
    )
    if json:
        console.print_json(answer)
    elif wait:
        console.out().print(f"{task_id} {console.word(answer['state'])}")
    else:
        console.out().print(f"asked for the end of {task_id}", markup=False)


async def _cancel(
    settings: Settings, fleet: str, task_id: str, reason: str | None, patience: float | None
) -> dict[str, Any]:
    from coordinator import Client
    from streams.cli.results import as_json
    from streams.cli.sdk import connected

    async with connected(settings) as connection, Client(connection, fleet=fleet) as client:
        await client.cancel(task_id, reason)
        if patience is None:
            return {"task_id": task_id, "fleet": fleet, "requested": "cancel"}
        return as_json(await client.result(task_id, timeout=patience))
