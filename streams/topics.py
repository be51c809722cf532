"""The coordinator's topics: what each must be like, creating them, and checking that they are.

The table here is section 1 of the wire contract as data. Who reads and writes the topics is elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from streams.errors import BrokerUnreachable, StreamsError

if TYPE_CHECKING:
    from streams.settings import Settings

MIB = 1024 * 1024
DAY_MS = 24 * 60 * 60 * 1000
FOREVER = -1

log = logging.getLogger("coordinator.topics")

CONNECT_TIMEOUT = 10.0
"""Seconds that a command gives a broker to answer at all: a person waits for it."""

_REPORT_INTERVAL = 3.0

VISIBLE_TIMEOUT = 30.0
"""Seconds until new topics must have leaders; measured: 0.2 on one node."""

_STAMPS = "message.timestamp.type"

CHANGELOG_COMPACTION_LAG_MS = DAY_MS
"""How long a changelog keeps every record. Within it a worker can trust its local copy plus the tail, and the next
owner has time to rewrite rows of a checkpoint that was never finished."""


@dataclass(frozen=True, slots=True)
class Partitions:
    """Partition counts that are chosen once: keys are placed by them, so they are fixed at creation."""

    events: int = 4
    fleet: int = 1
    directives: int = 4


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic must be like."""

    name: str
    """Logical name; see :func:`real_name`."""
    key: str
    """What its records are keyed by."""
    content: str
    """What stands in it, for people."""
    partitions: int
    fixed: bool = False
    """Whether another partition count would be wrong; elsewhere an operator may add partitions at will."""
    retention_ms: int = FOREVER
    max_message_bytes: int | None = None
    """At least so many bytes for one compressed batch of records; ``None`` leaves the broker's 1 MiB."""
    log_time: bool = False
    """Whether its stamps are log time, by which everything is decided: then no client may choose them."""
    compacted: bool = False

    @property
    def config(self) -> dict[str, str]:
        """Kafka's settings for this topic."""
        config = {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        if self.compacted:
            # A row may be written again soon; small segments, since the one being written is never compacted.
            config = {
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": str(CHANGELOG_COMPACTION_LAG_MS),
                "segment.bytes": str(64 * MIB),
            }
        # The broker stamps records as they arrive. By stamps of a worker whose clock is wrong, Kafka would refuse
        # them, delete them or compact them too early.
        config[_STAMPS] = "LogAppendTime"
        if self.max_message_bytes is not None:
            config["max.message.bytes"] = str(self.max_message_bytes)
        return config


@dataclass(frozen=True, slots=True)
class Layout:
    """All topics of one coordinator: where they are, and how many partitions they have."""

    prefix: str = "coordinator."
    """What real names begin with, its separator included; may be empty."""
    application: str = "coordinator"
    """Begins the names of the changelogs, which have no prefix."""
    partitions: Partitions = field(default_factory=Partitions)
    log_retention_ms: int = FOREVER
    """For the topics that are the record of everything: events, fleet log, directives."""

    @property
    def topics(self) -> Mapping[str, TopicSpec]:
        """Specifications by real name, in the order in which data flows."""
        logs = {real_name(self.prefix, spec.name): spec for spec in self._logs()}
        changelogs = {changelog_name(self.application, spec.name): spec for spec in self._changelogs()}
        return {**logs, **changelogs}

    def _logs(self) -> Sequence[TopicSpec]:
        count, long = self.partitions, self.log_retention_ms
        return (
            TopicSpec(
                "events",
                "subject: task, fleet or agent id",
                "what agents, clients and operators say",
                count.events,
                fixed=True,
                retention_ms=long,
                max_message_bytes=2 * MIB,
                log_time=True,
            ),
            TopicSpec(
                "fleet",
                "fleet",
                "the fleet log: forwarded facts, windows, liveness, ticks, plans",
                count.fleet,
                fixed=True,
                retention_ms=long,
                # More than an event's, so that whatever could be read can be forwarded with an envelope.
                max_message_bytes=4 * MIB,
                log_time=True,
            ),
            TopicSpec(
                "directives", "agent id", "directives", count.directives, fixed=True, retention_ms=long
            ),
            TopicSpec("results", "task id", "how tasks ended", 4, retention_ms=30 * DAY_MS),
            TopicSpec("reports", "fleet", "performance reports", 1, retention_ms=7 * DAY_MS),
            TopicSpec("alerts", "fleet", "system alerts", 1, retention_ms=30 * DAY_MS),
            TopicSpec(
                "dead-letters",
                "as it came",
                "what was no valid record, untouched",
                1,
                retention_ms=30 * DAY_MS,
                max_message_bytes=4 * MIB,
            ),
        )

    def _changelogs(self) -> Sequence[TopicSpec]:
        """One per fold, with as many partitions as the topic that it reads: a table is restored by partition."""
        return tuple(
            TopicSpec(
                table,
                "table/row key",
                f"state rows, marks and fences of the {table} table",
                partitions,
                fixed=True,
                # Checkpoints are written in batches of up to 4 MiB.
                max_message_bytes=8 * MIB,
                compacted=True,
            )
            for table, partitions in (("agents", self.partitions.events), ("fleet", self.partitions.fleet))
        )


def real_name(prefix: str, logical: str) -> str:
    """``real_name("coordinator.", "events") == "coordinator.events"``: the prefix has its own separator."""
    return prefix + logical


def changelog_name(application: str, table: str) -> str:
    """The name that Faust gives to the changelog of a table."""
    return f"{application}-{table}-changelog"


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a topic is not as it must be."""

    topic: str
    """Real name."""
    problem: Literal["missing", "partitions", "config"]
    setting: str | None
    """The setting that differs, if it is one."""
    expected: str
    found: str | None
    fatal: bool
    """Whether results would be wrong or incomplete. Else it is for people to judge: a shorter retention, say."""
    remedy: str
    """What to do; the same for several findings that one step mends."""

    @property
    def fault(self) -> str:
        if self.problem == "missing":
            return f"{self.topic} does not exist"
        return f"{self.topic} has {self.setting or self.problem} {self.found} instead of {self.expected}"

    def __str__(self) -> str:
        return f"{self.fault}. {self.remedy}"


def remedies(findings: Iterable[Finding]) -> list[str]:
    """What to do about all of them, each step once."""
    return list(dict.fromkeys(finding.remedy for finding in findings))


class TopicsUnfit(StreamsError):
    """Topics are missing or have settings that the coordinator cannot work with; it refuses to start on them.

    Attributes:
        findings: All that is wrong, not only the first.
    """

    exit_status = 2

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        faults = "\n".join(f"- {finding.fault}" for finding in findings)
        super().__init__(f"The topics are not as they must be:\n{faults}\n" + "\n".join(remedies(findings)))


class TopicCreationFailed(StreamsError):
    """Kafka refused to create a topic.

    Attributes:
        topic: Real name.
        reason: Kafka's words.
    """

    def __init__(self, topic: str, reason: str) -> None:
        self.topic = topic
        self.reason = reason
        super().__init__(
            f"Kafka did not create the topic {topic}: {reason}. The replication factor must not exceed the number "
            "of brokers (COORDINATOR_REPLICATION_FACTOR), and the user needs the right to create topics."
        )


def layout_of(settings: Settings) -> Layout:
    """The layout that a process's settings ask for."""
    return Layout(
        prefix=settings.topic_prefix,
        application=settings.application,
        partitions=Partitions(
            settings.events_partitions, settings.fleet_partitions, settings.directives_partitions
        ),
    )


async def ensure_topics(settings: Settings) -> list[Finding]:
    """Create what is missing if the settings allow it, then check; what a worker does before anything else.

    Returns:
        Findings that are not fatal.

    Raises:
        TopicsUnfit: There are fatal ones.
        TopicCreationFailed, BrokerUnreachable: Kafka refuses, or is not there.
    """
    layout = layout_of(settings)
    bootstrap, patience = settings.kafka_bootstrap_servers, settings.start_timeout
    waiting = partial(_log_waiting, bootstrap, patience)
    async with _admin(bootstrap, patience, waiting) as admin:
        if settings.create_topics:
            await _create(admin, layout, settings.replication_factor)
        findings = await _check(admin, layout, bootstrap)
    if fatal := [finding for finding in findings if finding.fatal]:
        raise TopicsUnfit(fatal)
    return findings


async def create(bootstrap: str, layout: Layout, replication: int = 1) -> list[str]:
    """Create the topics that are missing, and leave the others as they are.

    Args:
        replication: Copies of each partition. From three on, two must have a record before it is acknowledged.

    Returns:
        Real names of the new topics.

    Raises:
        TopicCreationFailed, BrokerUnreachable: Kafka refuses, or is not there.
    """
    async with _admin(bootstrap, CONNECT_TIMEOUT) as admin:
        return await _create(admin, layout, replication)


async def check(bootstrap: str, layout: Layout) -> list[Finding]:
    """Compare the topics with what they must be like; an empty list is a clean bill.

    Raises:
        BrokerUnreachable: Kafka is not there.
    """
    async with _admin(bootstrap, CONNECT_TIMEOUT) as admin:
        return await _check(admin, layout, bootstrap)


def create_command(bootstrap: str, prefix: str) -> str:
    """The command that creates what is missing there."""
    prefix_option = "" if prefix == Layout().prefix else f" --prefix {shlex.quote(prefix)}"
    return f"coordinator topics create -b {bootstrap}{prefix_option}"


def _log_waiting(bootstrap: str, patience: float, seconds: float) -> None:
    log.warning(
        "kafka does not answer yet",
        extra={"address": bootstrap, "seconds": round(seconds), "gives_up_after": round(patience)},
    )


@asynccontextmanager
async def _admin(
    bootstrap: str, patience: float, waiting: Callable[[float], None] = lambda seconds: None
) -> AsyncIterator[Any]:
    """A client for administration; ``waiting`` is told every few seconds for how long nobody has answered."""
    # Imported here because client commands import this module for its names, and should start fast.
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    started = reported = time.monotonic()
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            # A broker that takes the connection and then says nothing holds aiokafka for 40 seconds.
            left = max(started + patience - time.monotonic(), 0.1)
            async with asyncio.timeout(min(left, CONNECT_TIMEOUT)):
                await admin.start()
            break
        except (KafkaError, TimeoutError) as error:
            await admin.close()
            now = time.monotonic()
            if now >= started + patience:
                raise BrokerUnreachable.at(bootstrap, patience) from error
            if now > reported + _REPORT_INTERVAL:
                reported = now
                waiting(now - started)
            await asyncio.sleep(0.5)
    try:
        yield admin
    finally:
        await admin.close()


async def _create(admin: Any, layout: Layout, replication: int) -> list[str]:
    from aiokafka.admin import NewTopic
    from aiokafka.errors import TopicAlreadyExistsError

    existing = await _partition_counts(admin)
    missing = {name: spec for name, spec in layout.topics.items() if name not in existing}
    if not missing:
        return []
    durability = {"min.insync.replicas": "2"} if replication >= 3 else {}
    response = await admin.create_topics(
        [
            NewTopic(name, spec.partitions, replication, topic_configs={**spec.config, **durability})
            for name, spec in missing.items()
        ]
    )
    created = []
    for name, code, reason, *_ in response.topic_errors:
        if code == 0:
            created.append(name)
        # Another worker that started at the same time was faster. That is as good; the check looks at it anyway.
        elif code != TopicAlreadyExistsError.errno:
            raise TopicCreationFailed(name, reason or f"error {code}")
    await _wait_until_visible(admin, missing)
    return created


async def _wait_until_visible(admin: Any, names: Mapping[str, object]) -> None:
    """Creation is acknowledged by the controller; the brokers, which clients ask, learn of it a little later."""
    deadline = time.monotonic() + VISIBLE_TIMEOUT
    while hidden := sorted(names.keys() - (await _partition_counts(admin)).keys()):
        if time.monotonic() > deadline:
            raise TopicCreationFailed(hidden[0], f"it has no leader after {VISIBLE_TIMEOUT:.0f} s")
        await asyncio.sleep(0.05)


async def _partition_counts(admin: Any) -> dict[str, int]:
    """Topics whose partitions all have leaders. All are asked for: asking for one by name could create it."""
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["error_code"] == 0 and all(part["leader"] >= 0 for part in topic["partitions"])
    }


async def _check(admin: Any, layout: Layout, bootstrap: str) -> list[Finding]:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    counts = await _partition_counts(admin)
    present = [name for name in layout.topics if name in counts]
    configs: dict[str, dict[str, str]] = {}
    if present:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in present]
        for response in await admin.describe_configs(resources):
            for _code, _reason, _kind, name, entries in response.resources:
                configs[name] = {entry[0]: entry[1] for entry in entries}
    findings = []
    for name, spec in layout.topics.items():
        if name not in counts:
            remedy = f"Run: {create_command(bootstrap, layout.prefix)}"
            findings.append(Finding(name, "missing", None, "a topic", None, True, remedy))
            continue
        findings += _compare(name, spec, counts[name], configs.get(name, {}))
    return findings


def _compare(name: str, spec: TopicSpec, partitions: int, config: Mapping[str, str]) -> list[Finding]:
    findings = []
    if spec.fixed and partitions != spec.partitions:
        remedy = (
            "The count is fixed once there are records, since keys are placed by it: set the coordinator's "
            "partition counts to what is there (COORDINATOR_EVENTS_PARTITIONS, _FLEET_PARTITIONS, "
            "_DIRECTIVES_PARTITIONS), or use another topic prefix."
        )
        expected, found = str(spec.partitions), str(partitions)
        findings.append(Finding(name, "partitions", None, expected, found, True, remedy))
    for setting, expected in spec.config.items():
        found_value = config.get(setting)
        if found_value is None or not _fits(setting, expected, found_value):
            remedy = f"Run: kafka-configs --alter --topic {name} --add-config {setting}={expected}"
            fatal = setting not in _MATTERS_OF_TASTE and (spec.log_time or setting != _STAMPS)
            findings.append(Finding(name, "config", setting, expected, found_value, fatal, remedy))
    return findings


_MATTERS_OF_TASTE = {"retention.ms", "segment.bytes"}
"""Settings that an operator may choose otherwise without making anything wrong."""

_AT_LEAST = {"max.message.bytes", "min.compaction.lag.ms"}


def _fits(setting: str, expected: str, found: str) -> bool:
    if setting in _AT_LEAST:
        return int(found) >= int(expected)
    if setting == "segment.bytes":
        return True
    if setting == "retention.ms":
        # Longer is fine, and -1 is for ever.
        return int(found) == FOREVER or (int(expected) != FOREVER and int(found) >= int(expected))
    return expected == found
