"""What can be set about the engine, with defaults and reasons."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """All times in seconds."""

    bootstrap_servers: str
    """``host:port``, several separated by commas."""
    data_dir: Path
    """Local stores of this worker alone; what is lost here is read again from the changelogs."""
    topic_prefix: str = ""
    """In front of every logical topic name; includes its own separator."""
    instance_id: str | None = None
    """Static membership: a restart under the same name gets its partitions back at once, without a rebalance.
    Unique among the workers that run at the same time. ``None``: a member like any other."""
    replication_factor: int = 1
    """Of changelog topics that the engine creates."""

    checkpoint_interval: float = 1.0
    checkpoint_records: int = 500_000
    """Records of one partition after which a checkpoint is due before its time."""
    caught_up_lag: int = 5_000
    """Records that a partition may lie behind the end of its log and still count as keeping up."""

    cache_size: int | None = None
    """Rows of an evictable table that are kept in memory, over all partitions, beside those that changed since the
    last checkpoint; the others only in the local store. ``None``: all."""

    fetch_max_wait: float = 0.1
    """How long a fetch waits at the broker for the first record."""
    fetch_max_bytes: int = 32 << 20
    partition_fetch_bytes: int = 4 << 20
    """Per partition and fetch; a larger record is fetched all the same, alone."""
    batch_records: int = 5_000
    """About so many records are folded between two turns of the event loop."""

    compaction_lag: float = 3600.0
    """``min.compaction.lag.ms`` of changelogs: until then a torn checkpoint must be repaired, and so long a
    local store is trusted."""

    session_timeout: float = 10.0
    """Silence after which the group takes a worker for dead."""
    request_timeout: float = 30.0
    delivery_timeout: float = 45.0
    """How long a batch may be under way without an ack. Choose it above ``request_timeout``, after which aiokafka
    gives up what it has not sent yet: what it *has* sent an idempotent producer repeats for ever, silently."""
    start_timeout: float = 120.0
    rebalance_timeout: float = 60.0
    restore_timeout: float = 120.0
    """Without any progress; a long restore that goes on may last."""
    stop_timeout: float = 10.0
    library_log_level: int | None = logging.WARNING
    """Of Faust, mode, aiokafka and asyncio, set when the worker boots; ``None`` leaves them alone, for an
    application that sets up its log itself."""
    force_exit: bool = True
    """End a process that cannot stop in time. Off for an engine inside somebody else's program."""
