"""``coordinator bench …``: what the coordinator costs, beside peers; from a source checkout only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from streams.cli.options import Json
from streams.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

app = typer.Typer(
    help="Measure what the coordinator costs, beside other stream processors; from a source checkout.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Rows: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NAME,…", help="Only these contenders; by default all.", show_default=False),
]
Events: TypeAlias = Annotated[int, typer.Option(min=1_000, help="How many events are read.")]
Agents: TypeAlias = Annotated[int, typer.Option(min=1, help="Of how many agents they are.")]
Partitions: TypeAlias = Annotated[int, typer.Option(min=1, max=64, help="Partitions of the events topic.")]
Repetitions: TypeAlias = Annotated[int, typer.Option(min=1, help="How often each contender runs, in turns.")]
Bootstrap: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        help="A Kafka to measure on; by default one is started for it.",
    ),
]
Plot: TypeAlias = Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the figures, too.")]
ListRows: TypeAlias = Annotated[bool, typer.Option("--list", help="Name the contenders and end.")]

DIMENSIONS: Mapping[str, list[float]] = {
    "agents": [1_000, 10_000, 100_000],
    "partitions": [1, 4, 16],
    "checkpoint_interval": [0.25, 1, 5],
    "cache_size": [10_000, 5_000, 1_000],
    "processes": [1, 2],
}
"""What ``scale`` varies."""

Measure: TypeAlias = Callable[
    ["ModuleType", list[Any], str, int | None, Callable[[str], None]], dict[str, Any]
]
"""``(suite, rows, bootstrap, broker's process id, progress) -> result``."""


@app.command("throughput")
def throughput(
    rows: Rows = None,
    events: Events = 1_000_000,
    agents: Agents = 10_000,
    partitions: Partitions = 4,
    repetitions: Repetitions = 3,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    list_rows: ListRows = False,
    json: Json = False,
) -> None:
    """Measure how many events a CPU-second sees through, beside other stream processors.

    Loads a topic once and lets all contenders read it in turns. Peers get environments of their own, made when
    they are first wanted; one that is missing is reported and left out.

    [bold]Examples[/]

      coordinator bench throughput --rows limit,ours --json

      coordinator bench throughput --agents 1000 --plot throughput.png
    """
    _reading("throughput", rows, events, agents, partitions, repetitions, bootstrap, plot, list_rows, json)


@app.command("windows")
def windows(
    rows: Rows = None,
    events: Events = 1_000_000,
    agents: Agents = 10_000,
    partitions: Partitions = 4,
    repetitions: Repetitions = 3,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    list_rows: ListRows = False,
    json: Json = False,
) -> None:
    """Measure the same with a sample for an event-time window in every event.

    Each agent speaks once in a second of event time, so that its windows of 10 s close on the way: with a million
    events of 10,000 agents about nine each.

    [bold]Examples[/]

      coordinator bench windows --rows ours,quix,bytewax

      coordinator bench windows --events 300000 --agents 1000 --json
    """
    _reading("windows", rows, events, agents, partitions, repetitions, bootstrap, plot, list_rows, json)


@app.command("restore")
def restore(
    rows: Rows = None,
    agents: Agents = 100_000,
    partitions: Partitions = 4,
    repetitions: Repetitions = 3,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    list_rows: ListRows = False,
    json: Json = False,
) -> None:
    """Measure how fast a worker gets its state back from the changelog alone.

    [bold]Examples[/]

      coordinator bench restore --agents 100000 --json

      coordinator bench restore --rows ours
    """
    _reading("restore", rows, agents, agents, partitions, repetitions, bootstrap, plot, list_rows, json)


@app.command("restart")
def restart(
    rows: Rows = None,
    agents: Agents = 100_000,
    partitions: Partitions = 4,
    repetitions: Repetitions = 3,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    list_rows: ListRows = False,
    json: Json = False,
) -> None:
    """Measure how fast a worker gets its state back from an intact local store.

    [bold]Example[/]

      coordinator bench restart --agents 100000 --json
    """
    _reading("restart", rows, agents, agents, partitions, repetitions, bootstrap, plot, list_rows, json)


@app.command("latency")
def latency(
    rates: Annotated[str, typer.Option(metavar="N,…", help="Events per second.")] = "1000,5000",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each run is measured.")] = 10.0,
    rows: Rows = None,
    agents: Agents = 1_000,
    partitions: Partitions = 4,
    repetitions: Repetitions = 3,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    list_rows: ListRows = False,
    json: Json = False,
) -> None:
    """Measure how long it takes from an event until what comes of it can be read.

    Answers to directives are appended at a fixed rate, whoever keeps up or not, and each is timed from the moment
    that was meant for it until its fact can be read in the fleet log. The first two seconds are not counted.

    [bold]Examples[/]

      coordinator bench latency --rates 1000 --repetitions 5

      coordinator bench latency --rates 1000,10000 --seconds 30 --json
    """

    def measure(
        suite: ModuleType,
        chosen: list[Any],
        address: str,
        _broker: int | None,
        progress: Callable[[str], None],
    ) -> dict[str, Any]:
        setup = suite.latency.Setup(wanted, seconds, agents, partitions, repetitions)
        return suite.latency.measure(setup, chosen, address, progress)  # type: ignore[no-any-return]

    wanted = [int(one) for one in _numbers("--rates", rates, whole=True)]
    _bench("latency", rows, list_rows, measure, bootstrap, plot, json)


@app.command("memory")
def memory(
    agents: Annotated[str, typer.Option(metavar="N,…", help="Numbers of agents.")] = "10000,100000,1000000",
    rows: Rows = None,
    partitions: Partitions = 4,
    repetitions: Repetitions = 1,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    list_rows: ListRows = False,
    json: Json = False,
) -> None:
    """Measure how many bytes of memory an agent costs, with its window open and with all windows closed.

    It is what the operating system counts, less what was held before the first event. A million agents need
    about 6 GB free. On Linux only.

    [bold]Examples[/]

      coordinator bench memory --agents 10000,100000

      coordinator bench memory --rows fold --agents 1000000 --json
    """

    def measure(
        suite: ModuleType,
        chosen: list[Any],
        address: str,
        _broker: int | None,
        progress: Callable[[str], None],
    ) -> dict[str, Any]:
        setup = suite.memory.Setup(wanted, partitions, repetitions)
        return suite.memory.measure(setup, chosen, address, progress)  # type: ignore[no-any-return]

    if sys.platform != "linux":
        raise ConfigurationError("how much memory a process holds is read from /proc: measure on Linux")
    wanted = [int(one) for one in _numbers("--agents", agents, whole=True)]
    _bench("memory", rows, list_rows, measure, bootstrap, plot, json)


@app.command("scale")
def scale(
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N,…",
            help="What is varied, and its values; may be repeated. By default all four.",
            show_default=False,
        ),
    ] = None,
    events: Events = 1_000_000,
    agents: Agents = 10_000,
    partitions: Partitions = 4,
    repetitions: Repetitions = 3,
    bootstrap: Bootstrap = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Measure what an event costs with more agents, partitions or processes, fewer checkpoints or rows in memory.

    One thing is varied at a time: agents, partitions, checkpoint_interval (seconds), cache_size (agents in
    memory) or processes. All else stays as --agents and --partitions say, with one checkpoint a second, all
    agents in memory and one process. How much the broker works
    is told, too, where it is the one that was started for it.

    [bold]Examples[/]

      coordinator bench scale --vary agents=1000,100000 --vary processes=1,2

      coordinator bench scale --repetitions 2 --plot scale.png --json
    """
    values = dict(_varied(one) for one in vary) if vary else DIMENSIONS
    for value in values.get("processes", ()):
        if partitions % int(value):
            raise ConfigurationError(
                f"{int(value)} processes cannot share {partitions} partitions evenly; give other --partitions"
            )

    def measure(
        suite: ModuleType, _rows: list[Any], address: str, broker: int | None, progress: Callable[[str], None]
    ) -> dict[str, Any]:
        setup = suite.scale.Setup(events, agents, partitions, repetitions, values)
        return suite.scale.measure(setup, address, progress, broker)  # type: ignore[no-any-return]

    _bench("scale", None, False, measure, bootstrap, plot, json)


def _reading(
    workload: str,
    rows: str | None,
    events: int,
    agents: int,
    partitions: int,
    repetitions: int,
    bootstrap: str | None,
    plot: Path | None,
    list_rows: bool,
    json: bool,
) -> None:
    def measure(
        suite: ModuleType,
        chosen: list[Any],
        address: str,
        _broker: int | None,
        progress: Callable[[str], None],
    ) -> dict[str, Any]:
        module = suite.restore if workload in ("restore", "restart") else suite.throughput
        setup = suite.throughput.Setup(workload, events, agents, partitions, repetitions)
        return module.measure(setup, chosen, address, progress)  # type: ignore[no-any-return]

    _bench(workload, rows, list_rows, measure, bootstrap, plot, json)


def _bench(
    workload: str,
    rows: str | None,
    list_rows: bool,
    measure: Measure,
    bootstrap: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    from rich.console import Console

    from streams.cli.console import print_json

    suite = _suite()
    known = suite.rows_of(workload)
    if list_rows:
        for name, row in known.items():
            typer.echo(f"{name:14} {row.what}")
        return
    chosen = _chosen(known, rows)
    if plot is not None and not plot.absolute().parent.is_dir():
        raise ConfigurationError(f"{plot} cannot be written: there is no directory {plot.absolute().parent}")
    progress = Console(stderr=True)
    with suite.broker(bootstrap) as (address, broker), progress.status("starting …") as status:
        result = measure(suite, chosen, address, broker, status.update)
    if as_json:
        print_json(result)
    else:
        suite.report.print_result(result, {row.name: row.what for row in chosen}, Console())
    if plot is not None:
        try:
            suite.report.plot(result, plot)
        except OSError as error:
            raise ConfigurationError(str(error)) from None
    if suite.is_empty(result):
        raise typer.Exit(1)


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


def _chosen(known: Mapping[str, Any], names: str | None) -> list[Any]:
    if names is None:
        return list(known.values())
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise ConfigurationError(f"no contender is named {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def _varied(text: str) -> tuple[str, list[float]]:
    name, _, values = text.partition("=")
    if name not in DIMENSIONS:
        raise ConfigurationError(f"--vary takes NAME=N,… with {', '.join(DIMENSIONS)}; it was given {text!r}")
    return name, _numbers(f"--vary {name}", values, whole=name != "checkpoint_interval")


def _numbers(option: str, text: str, *, whole: bool) -> list[float]:
    """Positive numbers, separated by commas."""
    try:
        numbers = [float(int(one)) if whole else float(one) for one in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        kind = "whole numbers" if whole else "numbers"
        raise ConfigurationError(f"{option} takes {kind} above 0, separated by commas; it was given {text!r}")
    return numbers
