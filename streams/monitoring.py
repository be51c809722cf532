"""What machines watch: Prometheus metrics over the live state, and the report of the moment.

Counters that belong to the state (outcomes of records) are read from it at each scrape, so that they survive
restarts and sum to what was read. Labels are bounded: no ids.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from models.fleet import FleetFold
from models.fleet.views import summary
from models.fleet_records import CoordinationPlan
from models.fold import Output, Record
from streams.folds import fleet_fold, ingress_fold

if TYPE_CHECKING:
    from streams.engine import Engine, FoldTable, PartitionTask
    from streams.ticker import Ticker

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_]{1,40})"')
_KNOWN_TYPES = frozenset(
    {
        "agent_registered",
        "agent_deregistered",
        "status_update",
        "metric_report",
        "resource_report",
        "directive_response",
        "task_submitted",
        "task_cancelled",
        "agent_cordoned",
        "agent_uncordoned",
        "agent_drained",
        "policy_changed",
        "policy_accepted",
        "clock_ticked",
        "window_closed",
        "agent_suspected",
        "agent_lost",
        "agent_recovered",
        "plan_proposed",
    }
)


class MonitoringSystem:
    """The metrics of one worker.

    Args:
        engine: Whose partitions, lags and checkpoints are shown.
        ingress: The table of the ingress folds, for the number of active agents.
        fleet: The table of the fleet folds.
        ticker: Says for how long time has been held back.
        interval: Seconds for which the number of active agents is good: counting looks at every agent.
    """

    def __init__(
        self, engine: Engine, ingress: FoldTable, fleet: FoldTable, ticker: Ticker, interval: float
    ) -> None:
        self.ticker = ticker
        self.engine = engine
        self.ingress = ingress
        self.fleet = fleet
        self.interval = interval
        self._active = 0
        self._counted_at = float("-inf")
        self.registry = CollectorRegistry()
        self.message_latency = Histogram(
            "coordinator_message_latency_seconds",
            "From append to fold; the newest record of each batch is measured.",
            ["message_type"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.active_agents = Gauge(
            "coordinator_active_agents",
            "Agents that are alive and may be given work, in the partitions of this worker.",
            registry=self.registry,
        )
        self.operations = Counter(
            "coordinator_operations",
            "Directives, results, reports, alerts and plans, by type.",
            ["operation_type"],
            registry=self.registry,
        )
        self.registry.register(_StateCollector(self))
        ingress.after_batch.append(self.observe_batch)
        fleet.after_batch.append(self.observe_batch)

    def observe_batch(
        self, _task: PartitionTask, records: Sequence[Record], outputs: Sequence[Output]
    ) -> None:
        """Called by the engine after each folded batch."""
        if records:
            newest = records[-1]
            latency = max(0.0, time.time() - newest.timestamp / 1000)
            self.message_latency.labels(_message_type(newest.value)).observe(latency)
        for output in outputs:
            if output.topic in ("directives", "results", "reports", "alerts"):
                self.operations.labels(_operation_type(output)).inc()

    def count_plan(self, _plan: CoordinationPlan) -> None:
        """A plan was appended to the fleet log."""
        self.operations.labels("plan_proposed").inc()

    async def collect_metrics(self) -> dict[str, float]:
        """Refresh the gauges and return the figures that fit on one line."""
        active = self._active_agents()
        self.active_agents.set(active)
        tables = (self.ingress, self.fleet)
        lags = [task.lag for table in tables for task in table.tasks.values()]
        return {
            "active_agents": active,
            "partitions": len(lags),
            "lag": sum(lags),
            "records": sum(
                sum(_outcomes(task).values()) for table in tables for task in table.tasks.values()
            ),
        }

    def _active_agents(self) -> int:
        now = time.monotonic()
        if now >= self._counted_at + self.interval:
            self._active = sum(
                ingress_fold(task).status().active_agents for task in self.ingress.tasks.values()
            )
            self._counted_at = now
        return self._active

    async def generate_report(self) -> dict[str, object]:
        """What the coordinator would say of itself now: figures of the process, and of each fleet."""
        fleets = {
            fleet: summary(fleet_fold(task), fleet)
            for task in self.fleet.tasks.values()
            for fleet in fleet_fold(task).fleets()
        }
        return {"worker": await self.collect_metrics(), "fleets": fleets}

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class _StateCollector(Collector):
    """Reads the state at each scrape. Runs on the event loop's thread, so between two batches."""

    def __init__(self, monitoring: MonitoringSystem) -> None:
        self.monitoring = monitoring

    def describe(self) -> Iterator[Metric]:
        return iter(())  # not at registration, when there is no state yet

    def collect(self) -> Iterator[Metric]:
        records = CounterMetricFamily(
            "coordinator_records",
            "Records read, by outcome; they sum to what was read.",
            labels=["topic", "partition", "outcome"],
        )
        lag = GaugeMetricFamily(
            "coordinator_lag_records", "Records not yet folded.", labels=["topic", "partition"]
        )
        position = GaugeMetricFamily(
            "coordinator_position", "Next offset to fold.", labels=["topic", "partition"]
        )
        unsaved = GaugeMetricFamily(
            "coordinator_unsaved_records",
            "Records folded since the last checkpoint: what a crash would fold again.",
            labels=["topic", "partition"],
        )
        rows = GaugeMetricFamily(
            "coordinator_state_rows", "Rows of state at the last checkpoint.", labels=["topic", "partition"]
        )
        for table in (self.monitoring.ingress, self.monitoring.fleet):
            for partition, task in sorted(table.tasks.items()):
                labels = [task.topic, str(partition)]
                for outcome, count in sorted(_outcomes(task).items()):
                    records.add_metric([*labels, outcome], count)
                lag.add_metric(labels, task.lag)
                position.add_metric(labels, task.position)
                unsaved.add_metric(labels, task.unsaved)
                rows.add_metric(labels, len(task.hashes))
        yield records
        yield lag
        yield position
        yield unsaved
        yield rows
        yield from self._engine()

    def _engine(self) -> Iterator[Metric]:
        status = self.monitoring.engine.status()
        if status["checkpoint_age"] is not None:
            yield GaugeMetricFamily(
                "coordinator_checkpoint_age_seconds",
                "Since the last round of checkpoints.",
                value=status["checkpoint_age"],
            )
        yield GaugeMetricFamily(
            "coordinator_ticks_held_seconds",
            "For how long no time has been told, since a partition is not read as it is written; 0 is well.",
            value=self.monitoring.ticker.held_seconds,
        )
        yield CounterMetricFamily(
            "coordinator_assignments", "Rebalances that gave partitions.", value=status["assignments"]
        )
        yield GaugeMetricFamily(
            "coordinator_restore_seconds", "How long the last restore took.", value=status["restore_seconds"]
        )


def _outcomes(task: PartitionTask) -> Mapping[str, int]:
    if isinstance(task.fold, FleetFold):
        return task.fold.state.clock.outcomes
    return ingress_fold(task).outcomes


def _message_type(value: bytes | None) -> str:
    found = _TYPE.search(value or b"", 0, 4096)
    kind = found[1].decode() if found else ""
    return kind if kind in _KNOWN_TYPES else "other"


def _operation_type(output: Output) -> str:
    for name, value in output.headers:
        if name == "ce_type" and value is not None:
            return value.decode()
    return output.topic
