"""``coordinator kafka``: a real Kafka broker in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def kafka(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the broker keeps its data, by default .coordinator/kafka; survives restarts.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on at 127.0.0.1; 0 takes any free one.")
    ] = 0,
) -> None:
    """Run a single Apache Kafka broker here, until Ctrl-C.

    The first start downloads Kafka (45 MB) once; later starts take about 3 s. Prints the address to give to
    --bootstrap or KAFKA_BOOTSTRAP_SERVERS.

    [bold]Example[/]

      coordinator kafka --data-dir .coordinator/kafka --port 9092
    """
    from streams.kafka import run_foreground

    run_foreground(data_dir, port or None)
