"""What the engine cannot make right by itself: each failure has a name, typed fields, and says what to do.

Every one of these stops the process: state and positions are safe in the changelog, and a supervisor's restart
is the remedy wherever the message names no other.
"""

from __future__ import annotations

from aiokafka.errors import InvalidTimestampError

from streams.errors import StreamsError


class EngineError(StreamsError):
    """Root of the engine's failures."""


class PartitionError(EngineError):
    """A failure of one partition of one table.

    Attributes:
        table: Name of the fold table.
        partition: Partition of its source topic, and of its changelog.
    """

    def __init__(self, table: str, partition: int, message: str) -> None:
        super().__init__(f"{table}[{partition}]: {message}")
        self.table = table
        self.partition = partition


class FoldFailed(PartitionError):
    """The fold raised. Its rows may be half changed, so they are never saved."""

    def __init__(self, table: str, partition: int, start: int, next_offset: int) -> None:
        super().__init__(
            table,
            partition,
            f"the fold raised on records {start} to {next_offset - 1}; nothing of them was saved. "
            "A fold must be total: fix it for these records, then start again",
        )
        self.start = start
        self.next_offset = next_offset


class PartitionPoisoned(PartitionError):
    """A batch came for a partition that failed before; it takes no more records."""


class OutputsNotDelivered(PartitionError):
    """Kafka did not acknowledge what the fold put out; its records will be folded again after a restart."""


class ChangelogNotWritten(PartitionError):
    """Kafka did not acknowledge changed rows; the last complete checkpoint stays valid."""


class Fenced(PartitionError):
    """Another worker owns the partition now, and no rebalance told this one in time."""


class InstanceInUse(PartitionError):
    """A younger process runs under the same instance id; the two would take partitions from each other for ever.

    Attributes:
        instance: The id.
        pid: Process id of the other, on its machine.
    """

    def __init__(self, table: str, partition: int, instance: str, pid: int) -> None:
        super().__init__(
            table,
            partition,
            f"process {pid}, here or on another machine, was started under the same instance id {instance!r}; "
            "this one, the elder, makes way. Give each worker a data directory of its own",
        )
        self.instance = instance
        self.pid = pid


class PositionWentBack(PartitionError):
    """A checkpoint would have moved a position backwards: a bug, caught before it could damage state."""


class RecordsLost(PartitionError):
    """Retention deleted records that were not folded yet."""

    def __init__(self, table: str, partition: int, position: int, earliest: int) -> None:
        super().__init__(
            table,
            partition,
            f"records {position} to {earliest - 1} were deleted before they were folded. The state cannot "
            "become right again by itself: restore the topic, or start with a new application id to fold "
            "what is left, and give the topic a longer retention",
        )
        self.position = position
        self.earliest = earliest


class TopicRecreated(PartitionError):
    """The log ends before the position of the state: it is another log than the one that was folded."""

    def __init__(self, table: str, partition: int, position: int, end: int) -> None:
        super().__init__(
            table,
            partition,
            f"the state is at offset {position} but the log ends at {end}: the topic was recreated or lost "
            "its end. Restore the topic, or start with a new application id",
        )
        self.position = position
        self.end = end


class ChangelogCorrupt(PartitionError):
    """The changelog, read from its start, does not give the rows that its last mark counted and digested."""


class ChangelogLost(PartitionError):
    """The changelog holds no state any more, and the source log not all that led to it.

    Attributes:
        earliest: Where the source log begins.
    """

    def __init__(self, table: str, partition: int, changelog: str, earliest: int, evidence: str) -> None:
        super().__init__(
            table,
            partition,
            f"{changelog} holds no checkpoint any more, and the log begins at {earliest}, so the state cannot be "
            f"folded anew. {evidence}. Restore the changelog, or check that this is the right cluster; to go on "
            "with what is left of the log, start with a new application id",
        )
        self.earliest = earliest


class RestoreFailed(EngineError):
    """Kafka did not let a table be restored.

    Attributes:
        table: Its name.
    """

    def __init__(self, table: str, changelog: str, cause: BaseException) -> None:
        super().__init__(
            f"{table}: {changelog} cannot be read: {cause!r}. Check the brokers and the permissions on it"
        )
        self.table = table


class RowsUnreadable(PartitionError):
    """Rows in the changelog do not fit the tables of this version of the fold."""


class ColdRowsLost(PartitionError):
    """The local store failed while it held rows that memory had no room for.

    Attributes:
        rows: How many there were.
    """

    def __init__(self, table: str, partition: int, rows: int, reason: str) -> None:
        super().__init__(
            table,
            partition,
            f"the local store failed while {rows} rows were only there, since memory had no room for them "
            f"(cache_size): {reason}. Nothing is lost: a restart reads them from the changelog. Look at the disk",
        )
        self.rows = rows


class StoreInUse(PartitionError):
    """Another process has the local store open."""


class TopicUnfit(EngineError):
    """A topic is missing or has settings that the engine cannot work with.

    Attributes:
        topic: Its full name.
    """

    def __init__(self, topic: str, message: str) -> None:
        super().__init__(f"topic {topic}: {message}")
        self.topic = topic


class NotDelivered(EngineError):
    """Kafka did not acknowledge a record in time.

    Attributes:
        topic: Where it should have gone.
    """

    def __init__(self, topic: str, cause: BaseException) -> None:
        advice = "Check that the brokers are up and that the topic exists and takes records of this size"
        if isinstance(cause, InvalidTimestampError):
            advice = (
                "This machine's clock is more than an hour ahead of the brokers': set it right, or let them stamp "
                "records, with message.timestamp.type=LogAppendTime on the topic"
            )
        super().__init__(f"a record for {topic} was not acknowledged: {cause!r}. {advice}")
        self.topic = topic


class OutOfMemory(EngineError):
    """The process may take no more memory (``ulimit -v``, ``LimitAS=``), and needs more."""

    def __init__(self) -> None:
        super().__init__(
            "there is no memory left. Allow the process more, or share its partitions among more workers; what "
            "was acknowledged is kept"
        )


class BrokersSilent(EngineError):
    """The brokers are connected, or were, and acknowledge nothing.

    Attributes:
        seconds: For how long.
    """

    exit_status = 4

    def __init__(self, bootstrap_servers: str, topic: str, seconds: float) -> None:
        super().__init__(
            f"Kafka at {bootstrap_servers} has acknowledged nothing for {seconds:.0f} s, last for {topic}. "
            "Check that the brokers are up and reachable, then start again: nothing is lost"
        )
        self.seconds = seconds


class DeadlineExceeded(EngineError):
    """Starting, rebalancing, restoring or stopping made no progress for too long.

    Attributes:
        phase: What was going on.
        seconds: For how long.
    """

    def __init__(self, phase: str, seconds: float, progress: str) -> None:
        super().__init__(
            f"{phase} made no progress for {seconds:.0f} s (last seen: {progress}). "
            "Check that the brokers are reachable and that the process gets CPU time"
        )
        self.phase = phase
        self.seconds = seconds


class NotRunning(EngineError):
    """Something was asked of a coordinator that has not started, or has stopped."""

    def __init__(self, what: str = "the coordinator does not run") -> None:
        super().__init__(f"{what}: await start() first; after stop() make another one, for each runs once")


class EngineMisused(EngineError):
    """The application is wired in a way that cannot work."""
