"""``coordinator bench``: throughput beside peers, on this machine; from a source checkout only."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Json
from streams.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType


class Workload(StrEnum):
    """What is measured."""

    throughput = "throughput"
    windows = "windows"
    restore = "restore"
    restart = "restart"


def bench(
    workload: Annotated[Workload, typer.Argument(help="What is measured.")] = Workload.throughput,
    rows: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Only these contenders; by default all.", show_default=False),
    ] = None,
    events: Annotated[int, typer.Option(min=1_000, help="How many events are read.")] = 1_000_000,
    agents: Annotated[int, typer.Option(min=1, help="Of how many agents they are.")] = 10_000,
    partitions: Annotated[int, typer.Option(min=1, max=64, help="Partitions of the events topic.")] = 4,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each contender runs, in turns.")] = 3,
    bootstrap: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A Kafka to measure on; by default one is started for it."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the figures, too.")] = None,
    list_rows: Annotated[bool, typer.Option("--list", help="Name the contenders and end.")] = False,
    json: Json = False,
) -> None:
    """Measure how many events a CPU-second sees through, beside other stream processors.

    Loads a topic once and lets all contenders read it in turns. Peers get environments of their own, made when
    they are first wanted; one that is missing is reported and left out.

    [bold]Examples[/]

      coordinator bench throughput --rows limit,ours --json
      coordinator bench windows --agents 1000 --plot windows.png
    """
    suite = _suite()
    known = suite.rows_of(workload.value)
    if list_rows:
        for name, row in known.items():
            typer.echo(f"{name:12} {row.what}")
        return
    chosen = _chosen(known, rows)
    setup = suite.Setup(workload.value, events, agents, partitions, repetitions)
    _run(suite, setup, chosen, bootstrap, plot, json)


def _suite() -> ModuleType:
    root = Path(__file__).parents[2]
    if not (root / "bench" / "suite.py").is_file():
        raise ConfigurationError("the benchmarks are in the source checkout: clone it, then make bench")
    sys.path.insert(0, str(root))
    try:
        from bench import suite
    except ImportError as error:
        raise ConfigurationError(
            f"the benchmarks need what developers have ({error}): make setup installs it"
        ) from None
    return suite


def _chosen(known: dict[str, Any], names: str | None) -> list[Any]:
    if names is None:
        return list(known.values())
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise ConfigurationError(f"no contender is named {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def _run(
    suite: ModuleType, setup: Any, rows: list[Any], bootstrap: str | None, plot: Path | None, as_json: bool
) -> None:
    from rich.console import Console

    from streams.cli.console import print_json

    console = Console()
    progress = Console(stderr=True)
    with suite.broker(bootstrap) as address, progress.status("starting …") as status:
        result = suite.measure(setup, rows, address, status.update)
    if as_json:
        print_json(result)
    else:
        from bench.report import print_table

        print_table(result, {row.name: row.what for row in rows}, console)
    if plot is not None:
        from bench.report import plot as draw

        try:
            draw(result, plot)
        except OSError as error:
            raise ConfigurationError(str(error)) from None
    if not result["rows"]:
        raise typer.Exit(1)
