"""``coordinator dev``: a whole coordinator with a demo fleet on this machine, and a live view of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli import console
from streams.cli.options import Prefix

INTERRUPTED = 130


def dev(
    context: typer.Context,
    agents: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="How many demo agents.")] = 20,
    tasks: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many tasks in all; without end by default.")
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
    exit_when_done: Annotated[
        bool,
        typer.Option(
            "--exit-when-done", help="Exit when all --tasks have ended; status 0 only if every one completed."
        ),
    ] = False,
    no_demo: Annotated[
        bool, typer.Option("--no-demo", help="No demo: Kafka and a worker, for your own agents.")
    ] = False,
    data_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything is kept; survives restarts.")
    ] = Path(".coordinator/dev"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Kafka's port; 9092 if it is free, else any."),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="The worker's; 9090 if it is free, else any."),
    ] = None,
    prefix: Prefix = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Start Kafka, a worker and a demo fleet here, and watch them work.

    Kafka is a local one, unless KAFKA_BOOTSTRAP_SERVERS names another. Ctrl-C stops everything in order; a
    second start on the same directory goes on where the first one was. Not for production: everything runs on
    one machine, in one copy.

    [bold]Examples[/]

      coordinator dev

      coordinator dev --agents 50 --tasks 2000 --exit-when-done

      coordinator dev --no-demo
    """
    import asyncio
    import sys

    from streams.cli.options import given
    from streams.cli.sdk import told
    from streams.dev.demo import default_rate
    from streams.dev.run import DemoOptions
    from streams.dev.session import DevOptions, Session, check_http_port, kafka_for
    from streams.dev.summary import drawn
    from streams.errors import ConfigurationError
    from streams.settings import load_settings

    if exit_when_done and (no_demo or tasks is None):
        raise ConfigurationError("--exit-when-done needs an end: give --tasks N, and not --no-demo")
    if no_demo and (idle := given(context, "agents", "tasks", "rate", "seed")):
        raise ConfigurationError(
            f"--no-demo leaves out what {', '.join(idle)} is about; give the one or the other"
        )
    demo = None if no_demo else DemoOptions(agents, tasks, rate or default_rate(tasks, agents), seed)
    options = DevOptions(
        data_dir=data_dir,
        demo=demo,
        exit_when_done=exit_when_done,
        kafka_port=port,
        http_port=http_port,
        live=sys.stdout.isatty() and not json,
    )
    check_http_port(options)
    with kafka_for(options, load_settings(topic_prefix=prefix)) as (settings, check_kafka):
        session = Session(options, settings, check_kafka)
        with told():
            asyncio.run(session.go())
    if session.run is None:
        return
    summary = session.run.summary(session.worker.starts)
    if json:
        console.print_json(summary.on_wire())
    else:
        console.out().print(drawn(summary))
    if exit_when_done:
        raise typer.Exit(
            INTERRUPTED if session.interrupted and not session.run.done else 0 if summary.ok else 1
        )
