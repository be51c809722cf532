"""The engine: runs folds inside a Faust worker, in whole batches, exactly once in effect.

What lives here: reading partitions in batches, the state of each partition and its checkpoints, restore,
hand-over between workers, sending what folds put out. What does not: what any record means (``models``), and
which topics, folds and agents an application has (``streams.app``).

An application is wired like this::

    engine = Engine(EngineSettings(bootstrap_servers="127.0.0.1:9092", topic_prefix="coordinator.",
                                   data_dir=Path("state"), instance_id="worker-1"))
    app = faust.App("coordinator", **engine.faust_settings())   # broker, transport, timeouts, managers
    install(app, engine)

    events = engine.topic("events", partitions=4)   # logical name: the prefix is added
    fleet = engine.topic("fleet", partitions=1)
    agents_table = engine.table("agents", source=events, make_fold=lambda partition: IngressFold(partition))
    fleet_table = engine.table("fleet", source=fleet, make_fold=lambda partition: FleetFold(partition))

    @app.agent(events)
    async def ingress(stream):
        async for batch in stream:
            agents_table.fold(batch)

    @app.agent(fleet)
    async def decide(stream):
        async for batch in stream:
            fleet_table.fold(batch)

Around the folds, for tickers, planners, HTTP and metrics::

    agents_table.tasks                       # {partition: PartitionTask}: .fold .position .lag .epoch
    agents_table.caught_up(partition)        # has read what was there when it was restored, and keeps up
    agents_table.on_open.append(f)           # f(task), restored and before its first record
    agents_table.on_close.append(f)          # f(task), after its last checkpoint
    agents_table.after_batch.append(f)       # f(task, records, outputs), after each folded batch
    await engine.append("events", key=None, value=b"…", partition=3)   # returns when acked
    engine.status()                          # plain data for health and metrics

Whatever the engine cannot make right by itself stops the process with a named error (``streams.engine.errors``)
and a non-zero exit status. Nothing waits without a deadline.
"""

from __future__ import annotations

import gc

import faust

from streams.batches import RecordBatch
from streams.engine.engine import Engine
from streams.engine.errors import EngineError
from streams.engine.settings import EngineSettings
from streams.engine.table import FoldTable
from streams.engine.task import PartitionTask

__all__ = [  # noqa: RUF022 - grouped by who needs it
    # wiring
    "Engine",
    "EngineSettings",
    "install",
    # what agents and the shell see
    "EngineError",
    "FoldTable",
    "PartitionTask",
    "RecordBatch",
    # the process around it
    "tune_garbage_collector",
]


def install(app: faust.App, engine: Engine) -> None:
    """Make ``app`` run on ``engine``: its transport, its table manager. Before any topic or table."""
    engine.bind(app)


def tune_garbage_collector() -> None:
    """Call once at boot: what is loaded by then stays, and rows are no cycles. Gains 10 to 90 % of throughput.

    The default thresholds look through all rows again and again, for cycles that folds do not make.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
