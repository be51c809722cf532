"""What the programs that measure have in common: options, timing, and errors."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Annotated, NoReturn, TypeAlias, TypeVar

import typer

from streams.cli.console import print_error

T = TypeVar("T")

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
OnKafka: TypeAlias = Annotated[
    str | None, typer.Option("--bootstrap", help="A Kafka to measure on; by default one is started for it.")
]


def cpu_milliseconds(work: Callable[[], T], repetitions: int) -> tuple[T, list[float]]:
    """What comes of it, and how long each repetition took."""
    times = []
    gc.collect()
    gc.freeze()  # as in a worker, where the collector does not walk the state each time that something is planned
    for _ in range(repetitions):
        started = time.process_time()
        result = work()
        times.append((time.process_time() - started) * 1000)
    return result, times


def fail(message: str) -> NoReturn:
    """End the program with an error of the user's."""
    print_error(message)
    raise typer.Exit(2)
