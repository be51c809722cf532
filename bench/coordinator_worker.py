"""The worker as benchmarks run it: the ingress fold on our engine, without planner and fleet fold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import faust

from models.ingress import IngressFold
from streams.engine import Engine, EngineSettings, install, tune_garbage_collector
from streams.topics import changelog_name, real_name

if TYPE_CHECKING:
    from bench.meter import Task
    from streams.engine import FoldTable


def settings(task: Task, directory: str | None = None) -> EngineSettings:
    """What ``options: {"engine": …}`` says, else the defaults of production.

    With ``options: {"share_in_memory": …}`` only that share of the agents is kept in memory.
    """
    share = task.options.get("share_in_memory")
    cache = {} if share is None else {"cache_size": int(share * task.agents)}
    return EngineSettings(
        bootstrap_servers=task.bootstrap,
        topic_prefix=task.prefix,
        data_dir=Path(directory or task.directory),
        **cache,
        **task.options.get("engine", {}),
    )


def ingress(
    task: Task, engine: Engine, application: str | None = None
) -> tuple[faust.App, faust.Topic, FoldTable]:
    """The application, its events, and the table that folds them; the row adds what it does with a batch."""
    application = application or task.run
    app = faust.App(application, **engine.faust_settings())
    install(app, engine)
    events = engine.topic("events", partitions=task.partitions)
    partitions = {"events": task.partitions, "fleet": 1}
    topic = real_name(task.prefix, "events")
    table = engine.table(
        "agents", source=events, make_fold=lambda number: IngressFold(number, partitions, topic=topic)
    )
    assert table.changelog_topic_name == changelog_name(application, "agents")
    return app, events, table


def run(app: faust.App) -> None:
    """Run it until it stops, and end the process."""
    tune_garbage_collector()
    worker = faust.Worker(app, loglevel="error", quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()
