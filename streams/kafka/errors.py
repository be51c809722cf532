"""What can go wrong with a local broker. Each message says what happened, to what, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, Signals

from streams.errors import StreamsError


class LocalKafkaError(StreamsError):
    """Root of all errors of ``streams.kafka``."""


class JavaNotFound(LocalKafkaError):
    """No Java that is new enough for Kafka.

    Attributes:
        tried: What was looked at, and why it was not good enough, in the order of the search.
    """

    def __init__(self, minimum: int, tried: Sequence[str]) -> None:
        self.minimum = minimum
        self.tried = tuple(tried)
        super().__init__(
            f"Kafka needs Java {minimum} or newer, and none was found ({'; '.join(tried)}). Install one and set "
            "JAVA_HOME, or get one from PyPI: pip install 'coordinator-agent[java]' (in a checkout: make setup). "
            "Or set KAFKA_BOOTSTRAP_SERVERS to use a Kafka that runs elsewhere."
        )


class JarsUnavailable(LocalKafkaError):
    """Kafka's jars are not in the cache, and could not be downloaded whole.

    Attributes:
        jar: The Maven coordinate of the jar that failed.
        repository: Where it was asked for.
        cache: The directory it belongs into.
        reason: What the download ended with.
    """

    def __init__(self, jar: str, repository: str, cache: Path, reason: str) -> None:
        self.jar = jar
        self.repository = repository
        self.cache = cache
        self.reason = reason
        super().__init__(
            f"Kafka's jar {jar} could not be downloaded from {repository}: {reason}. The first start needs the "
            f"network once (45 MB, kept in {cache}). Check the connection and start again: what is already there "
            "is kept. Behind a proxy set HTTPS_PROXY; with a mirror of Maven Central set "
            "COORDINATOR_MAVEN_REPOSITORY; or set KAFKA_BOOTSTRAP_SERVERS to use a Kafka that runs elsewhere."
        )


class PortTaken(LocalKafkaError):
    """Another process listens on the port that the broker was to have."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(
            f"Port {port} on 127.0.0.1 is taken by another process. Choose another port, or leave it out to get a "
            f"free one; 'ss -ltnp sport = :{port}' shows who has it."
        )


class DataDirectoryError(LocalKafkaError):
    """Something about the broker's data directory.

    Attributes:
        data_dir: The directory.
    """

    def __init__(self, data_dir: Path, message: str) -> None:
        self.data_dir = data_dir
        super().__init__(message)


class DataDirectoryInUse(DataDirectoryError):
    """A broker already runs on this directory.

    Attributes:
        bootstrap: Its address, if known.
        pid: The process that started it, if known.
    """

    def __init__(self, data_dir: Path, bootstrap: str | None, pid: int | None) -> None:
        self.bootstrap = bootstrap
        self.pid = pid
        where = f" at {bootstrap}" if bootstrap else ""
        who = f", started by process {pid}" if pid else ""
        super().__init__(
            data_dir,
            f"A Kafka already runs on {data_dir}{where}{who}. Use that one (KAFKA_BOOTSTRAP_SERVERS"
            f"{'=' + bootstrap if bootstrap else ''}), stop it, or choose another data directory.",
        )


class DataDirectoryRefused(DataDirectoryError):
    """The directory cannot be a broker's: something else lives there, or it cannot be written."""

    def __init__(self, data_dir: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(
            data_dir,
            f"{data_dir} cannot be Kafka's data directory: {reason}. Choose an empty or a new directory.",
        )


class DataDirectoryDamaged(DataDirectoryError):
    """The directory is a broker's, but what it holds does not fit together.

    Attributes:
        reason: The first thing that does not fit.
    """

    def __init__(self, data_dir: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(
            data_dir,
            f"Kafka's data directory {data_dir} is damaged: {reason}. Restore it from a copy, "
            f"or give up its records and start anew: mv {data_dir} {data_dir}.damaged",
        )


class BrokerStartFailed(LocalKafkaError):
    """The broker's process did not become ready.

    Attributes:
        log: Its log file.
        reason: The last errors in it, or which deadline passed.
    """

    def __init__(self, log: Path, reason: str) -> None:
        self.log = log
        self.reason = reason
        super().__init__(f"Kafka did not start: {reason}. Its log has the whole story: {log}")


class BrokerExited(LocalKafkaError):
    """The broker ended although nobody asked it to.

    Attributes:
        status: Exit status of its process, as a shell shows it (128 + signal).
        log: Its log file.
    """

    def __init__(self, status: int, log: Path) -> None:
        self.status = status
        self.log = log
        super().__init__(f"Kafka {_ending(status, log)}. Its data is kept; start it again.")


def _ending(status: int, log: Path) -> str:
    """How a process ended by the status that a shell shows, and where the reason is to be found."""
    if status == 128 + SIGKILL:
        # A process cannot log this end of its own.
        return "was killed by SIGKILL, perhaps since the machine was out of memory: see dmesg"
    if status > 128 and status - 128 in set(Signals):
        return f"was ended by {Signals(status - 128).name}; its log is {log}"
    return f"ended by itself with status {status}. Its log says why: {log}"
