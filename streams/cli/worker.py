"""``coordinator worker``: one worker of the coordinator, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import Bootstrap, Prefix


def worker(
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Directory of the local state, by default .coordinator/worker; each worker on a machine needs "
            "its own.",
        ),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of health, metrics and state, by default 9090; 0 takes any free one."
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR; by default INFO.")
    ] = None,
) -> None:
    """Run one worker: it folds events into state, plans, and sends directives.

    Several workers share the partitions among them. SIGTERM or Ctrl-C stops it after a last checkpoint; even
    kill -9 costs nothing but the seconds until another worker goes on. All settings can come from the
    environment or coordinator.toml as well.

    [bold]Examples[/]

      coordinator worker -b 127.0.0.1:9092

      coordinator worker --data-dir .coordinator/worker-2 --http-port 0
    """
    from streams.cli.options import settings
    from streams.worker import run

    level = log_level.upper() if log_level else None
    status = run(settings(bootstrap, prefix, data_dir=data_dir, http_port=http_port, log_level=level))
    raise typer.Exit(status)
