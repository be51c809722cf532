"""``coordinator fleet``: the demo's agents and tasks, against a coordinator that runs elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from streams.dev.run import DemoOptions, DemoRun
    from streams.settings import Settings

PATIENCE = 60.0
"""Seconds to wait for Kafka and the coordinator's topics."""


def fleet(
    agents: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="How many agents.")] = 20,
    tasks: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="How many tasks in all, then exit; without end by default, 0 for none."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="R",
            help="Tasks per second; one per agent by default, or all of --tasks in 10 s.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Decides who the agents are and what is asked.")] = 1,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Begins all ids; two fleets at once need two names.")
    ] = "demo",
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Run demo agents and submit demo tasks, on a Kafka and a coordinator that run already.

    With --tasks it exits when all have ended, with status 0 only if every one completed.

    [bold]Examples[/]

      coordinator fleet -b 127.0.0.1:9092

      coordinator fleet --agents 50 --tasks 1000 --rate 200 --json
    """
    import asyncio

    from streams.cli.options import settings
    from streams.dev.demo import default_rate
    from streams.dev.run import DemoOptions
    from streams.dev.summary import drawn

    options = DemoOptions(agents, tasks, rate or default_rate(tasks, agents), seed, name, fleet)
    run = asyncio.run(_run(settings(bootstrap, prefix), options))
    summary = run.summary()
    if json:
        console.print_json(summary.on_wire())
    else:
        console.out().print(drawn(summary))
    if tasks and not run.done:
        raise typer.Exit(130)
    raise typer.Exit(0 if not tasks or summary.ok else 1)


async def _run(settings: Settings, options: DemoOptions) -> DemoRun:
    from streams.cli.sdk import told
    from streams.dev.plain import tell_progress
    from streams.dev.run import DemoRun
    from streams.dev.together import first_of, stopped_by_signals

    await _until_there(settings)
    run = DemoRun(options, settings.kafka_bootstrap_servers, settings.topic_prefix)
    console.note(
        f"{options.agents:,} agents, tasks {run.demo.prefix}…, Kafka at {settings.kafka_bootstrap_servers}"
    )
    with stopped_by_signals() as stop, told():
        await first_of(run.go(), stop.wait(), tell_progress(run))
    return run


async def _until_there(settings: Settings) -> None:
    """Wait for Kafka and the topics: started together with them, a fleet is usually the first to be ready."""
    import asyncio
    import time

    from streams.dev.watch import TOPICS
    from streams.errors import BrokerUnreachable
    from streams.reader import TopicMissing, TopicReader

    started = time.monotonic()
    told = False
    while True:
        try:
            async with TopicReader(settings.kafka_bootstrap_servers, settings.topic_prefix) as reader:
                for topic in TOPICS:
                    await reader.extents(topic)
            return
        except (BrokerUnreachable, TopicMissing) as error:
            if time.monotonic() - started > PATIENCE:
                raise
            if not told:
                console.note(f"waiting up to {PATIENCE:.0f} s: {error}")
                told = True
            await asyncio.sleep(1)
