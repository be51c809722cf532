"""A real Apache Kafka on this machine: one node, in one directory, without Docker and without root.

:class:`LocalKafka` is the broker's life cycle; the demo, the tests and ``coordinator kafka`` all use it.
Nothing here knows what the broker is used for: topics are in ``streams.topics``.
"""

from streams.kafka.broker import LocalKafka
from streams.kafka.errors import (
    BrokerExited,
    BrokerStartFailed,
    DataDirectoryDamaged,
    DataDirectoryInUse,
    DataDirectoryRefused,
    JarsUnavailable,
    JavaNotFound,
    LocalKafkaError,
    PortTaken,
)
from streams.kafka.foreground import run_foreground
from streams.kafka.jars import KAFKA_VERSION

__all__ = [
    "KAFKA_VERSION",
    "BrokerExited",
    "BrokerStartFailed",
    "DataDirectoryDamaged",
    "DataDirectoryInUse",
    "DataDirectoryRefused",
    "JarsUnavailable",
    "JavaNotFound",
    "LocalKafka",
    "LocalKafkaError",
    "PortTaken",
    "run_foreground",
]
