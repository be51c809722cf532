"""``coordinator kafka``: a broker for the time that this process runs."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from rich.console import Console

from streams.kafka.broker import LocalKafka
from streams.kafka.jars import KAFKA_VERSION

DEFAULT_DATA_DIR = Path(".coordinator/kafka")


def run_foreground(data_dir: Path | None = None, port: int | None = None) -> None:
    """Run a broker until SIGINT or SIGTERM; prints its address on standard output when it is ready.

    Must be called in the main thread, since it handles signals.

    Raises:
        LocalKafkaError: The broker did not start, or ended by itself.
    """
    # Both signals raise, so that they also end a download or a start that is still under way.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    out = Console(highlight=False, soft_wrap=True)
    try:
        with LocalKafka(data_dir or DEFAULT_DATA_DIR, port) as kafka:
            out.print(f"Kafka {KAFKA_VERSION} is ready: KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap}")
            out.print(f"Data and log are in {kafka.directory.path}. Ctrl-C stops it.")
            while True:
                time.sleep(0.2)
                kafka.check()
    except KeyboardInterrupt:
        out.print("Kafka is stopped.")
    finally:
        signal.signal(signal.SIGTERM, former)
