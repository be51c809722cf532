"""The two files that a local broker is started with, as text: its settings and its logging."""

from __future__ import annotations

from pathlib import Path

NODE_ID = 1


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """Settings of a single node that is broker and controller in one, reachable from this machine only.

    Topics' retention, sizes and partitions are set per topic by who creates them (``streams.topics``).
    """
    settings = {
        "process.roles": "broker,controller",
        "node.id": NODE_ID,
        # Static voters: unlike a dynamic quorum they are not stored, so the ports may differ from start to start.
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "listeners": f"CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        # A mistyped topic is an error, not a new topic with the wrong settings.
        "auto.create.topics.enable": "false",
        # Nothing expires unless its topic says so.
        "log.retention.ms": -1,
        # There is one node, so there is one replica.
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # One partition each instead of 50: fewer files, faster start.
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.num.partitions": 1,
        # A first member of a group starts at once instead of waiting 3 s for company, and whoever wants to be
        # declared dead sooner than after 6 s may.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # The default of 128 MiB would be a third of the heap; this cleans 900,000 keys in one pass.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "log.cleaner.io.buffer.size": 256 * 1024,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


LOG4J_PROPERTIES = """\
# Kafka's own shutdown is in the log too: its hook runs beside that of the logger, which would end first.
shutdownHook = disable
# To the console, which is the file kafka.log beside this one.
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
# Two hundred lines of settings per start and component.
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = WARN
"""

JVM_OPTIONS = (
    # Measured: 210 MB resident after the start; telemetry of some MB/s stays within this heap.
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    # The first compiler alone: the second one takes 2 s of CPU at each start for a throughput nobody needs here.
    "-XX:TieredStopAtLevel=1",
    # A broker without memory ends, loudly, instead of limping.
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    # Java looks up names as IPv6 first on some machines; all listeners are on 127.0.0.1.
    "-Djava.net.preferIPv4Stack=true",
)
