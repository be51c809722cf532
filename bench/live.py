"""The whole coordinator at work on the real Kafka: tasks per second, and how long each waits for its directive.

``python bench/live.py --help`` tells how. A worker as an operator starts it, a broker, and one process that plays
all agents and all clients share this machine. Times count from the moment that was meant for a submission (an open
loop): a pause shows in all tasks that it delayed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer
from rich.console import Console
from rich.table import Table

from bench import processor_time
from bench.latency import quantiles
from bench.meter import MARK, Task
from bench.program import AsJson, OnKafka, fail
from bench.runner import stop
from bench.throughput import broker
from streams.cli.console import print_json
from streams.cli.http import get_json
from streams.errors import StreamsError
from streams.http.server import ADDRESS_FILE

PATIENCE = 30.0
"""Seconds until the worker must be ready, and know all agents."""
QUANTILES = {"p50": 0.50, "p99": 0.99, "max": 1.0}
_ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@dataclass(frozen=True)
class Setup:
    """What is measured."""

    seconds: float
    agents: int
    slots: int
    work: float
    """Seconds that an agent needs for a task."""
    coalitions: float
    """Share of the tasks that want a coalition of two."""


class NotMeasured(Exception):
    """Something did not start, or did not end."""


def run(setup: Setup, rate: float, bootstrap: str, broker_pid: int | None) -> dict[str, Any]:
    """One run at one rate, on topics of its own: figures as ``--json`` prints them.

    Raises:
        NotMeasured: if something does not start, or tasks do not end.
    """
    prefix = f"live-{uuid.uuid4().hex[:8]}."
    with (
        tempfile.TemporaryDirectory(prefix="bench-live-") as directory,
        worker(prefix, bootstrap, Path(directory)) as (process, address),
    ):
        tasks = round(setup.seconds * rate)
        crowd = _start_crowd(setup, rate, tasks, prefix, bootstrap, directory)
        try:
            _until(lambda: _registered(address) >= setup.agents, process, "not all agents were registered")
            pids = {"worker": process.pid, "broker": broker_pid}
            before = {name: processor_time.of_process(pid) for name, pid in pids.items() if pid}
            began = time.monotonic()
            assert crowd.stdin is not None
            assert crowd.stdout is not None
            crowd.stdin.write("go\n")
            crowd.stdin.flush()
            answer = json.loads(crowd.stdout.readline() or "null")
            passed = time.monotonic() - began
            after = {name: processor_time.of_process(pid) for name, pid in pids.items() if pid}
        finally:
            crowd.kill()
            crowd.wait()
        if not answer or len(answer["ended"]) < tasks:
            raise NotMeasured(f"{len((answer or {}).get('ended', []))} of {tasks} tasks ended")
        cpus = {
            name: round((now - then) / passed, 3)
            for name, then in before.items()
            if then is not None and (now := after[name]) is not None
        }
        return {
            "rate": rate,
            "tasks": tasks,
            "completed_per_s": round(tasks / answer["seconds"], 1),
            "to_directive_ms": quantiles(answer["assigned"], QUANTILES),
            "to_result_ms": quantiles(answer["ended"], QUANTILES),
            "late_ms": round(answer["late"] * 1000, 1),
            "repeats": answer["repeats"],
            "cpus": {**cpus, "crowd": round(answer["cpu"] / passed, 3)},
            "worker_us_per_task": round(cpus["worker"] * passed / tasks * 1e6) if "worker" in cpus else None,
        }


@contextmanager
def worker(prefix: str, bootstrap: str, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``coordinator worker`` with topics of its own; the process, and where its HTTP listens.

    Raises:
        NotMeasured: if it does not get ready.
    """
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COORDINATOR_", "KAFKA_"))
        },
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "COORDINATOR_TOPIC_PREFIX": prefix,
        "COORDINATOR_DATA_DIR": str(directory / "worker"),
        "COORDINATOR_HTTP_PORT": "0",
    }
    log = directory / "worker.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli.main", "worker"],
            cwd=_ROOT,
            env=environment,
            stdout=said,
            stderr=said,
        )
    try:
        file = directory / "worker" / ADDRESS_FILE
        try:
            _until(
                lambda: file.exists() and _ready(file.read_text().strip()),
                process,
                "the worker was not ready",
            )
        except NotMeasured as error:
            raise NotMeasured(f"{error}: {log.read_text()[-2000:]}") from None
        yield process, file.read_text().strip()
    finally:
        stop(process)


def _start_crowd(
    setup: Setup, rate: float, tasks: int, prefix: str, bootstrap: str, directory: str
) -> subprocess.Popen[str]:
    task = Task(
        bootstrap=bootstrap,
        topic=f"{prefix}events",
        prefix=prefix,
        partitions=_partitions(bootstrap, f"{prefix}events"),
        events=tasks,
        agents=setup.agents,
        run=prefix + "crowd",
        directory=directory,
        options={"rate": rate, "work": setup.work, "slots": setup.slots, "coalitions": setup.coalitions},
    )
    crowd = subprocess.Popen(
        [sys.executable, "-m", "bench.crowd"],
        cwd=_ROOT,
        env={**os.environ, "BENCH": json.dumps(vars(task))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert crowd.stdout is not None
    if not crowd.stdout.readline().startswith(MARK):
        raise NotMeasured("the load generator did not start")
    return crowd


def _partitions(bootstrap: str, topic: str) -> int:
    from confluent_kafka.admin import AdminClient

    return len(AdminClient({"bootstrap.servers": bootstrap}).list_topics(topic, 30).topics[topic].partitions)


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if process.poll() is not None:
            raise NotMeasured(f"the worker ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise NotMeasured(f"{what} within {PATIENCE:.0f} s")
        time.sleep(0.1)


def _ready(address: str) -> bool:
    try:
        return bool(get_json(address, "/health/ready")["ready"])
    except StreamsError:
        return False


def _registered(address: str) -> int:
    try:
        return int(get_json(address, "/v1/summary")["agents"]["registered"])
    except StreamsError:
        return 0


@app.command()
def live(
    rates: Annotated[str, typer.Option(metavar="R,…", help="Tasks per second.")] = "100,1000,2000",
    seconds: Annotated[float, typer.Option(min=1, help="How long tasks are submitted at each rate.")] = 20,
    agents: Annotated[int, typer.Option(min=1, max=100_000, help="How many agents.")] = 200,
    slots: Annotated[int, typer.Option(min=1, help="Tasks that each works on at once.")] = 4,
    work: Annotated[float, typer.Option(min=0, help="Seconds that a task takes.")] = 0.1,
    coalitions: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the tasks that want a coalition of two.")
    ] = 0.0,
    repetitions: Annotated[int, typer.Option(min=1, help="Runs of each rate, in turns.")] = 1,
    bootstrap: OnKafka = None,
    as_json: AsJson = False,
) -> None:
    """Measure a whole coordinator at work: from submission to directive, and to result.

    Everything runs on this machine: broker, one worker, and one process
    that plays all agents and clients. Agents accept, work and complete.

    [b]Examples[/b]

      python bench/live.py

      python bench/live.py --rates 2000 --seconds 60 --json
    """
    try:
        wanted = [float(rate) for rate in rates.split(",")]
    except ValueError:
        fail(f"--rates {rates}: give numbers, such as 100,1000")
    if any(rate <= 0 for rate in wanted):
        fail(f"--rates {rates}: each must be above 0")
    setup = Setup(seconds, agents, slots, work, coalitions)
    runs: dict[float, list[dict[str, Any]]] = {rate: [] for rate in wanted}
    missing: dict[str, str] = {}
    with broker(bootstrap) as (address, pid):
        for _ in range(repetitions):
            for rate in wanted:
                print(f"{rate:g} tasks/s …", file=sys.stderr)
                try:
                    runs[rate].append(run(setup, rate, address, pid))
                except NotMeasured as error:
                    missing[f"{rate:g}"] = str(error)
    result = {
        "workload": "live",
        "agents": agents,
        "slots": slots,
        "work_s": work,
        "coalitions": coalitions,
        "seconds": seconds,
        "rates": {f"{rate:g}": _middle(some) for rate, some in runs.items() if some},
        "missing": missing,
    }
    if as_json:
        print_json(result)
    else:
        show(result)
    raise typer.Exit(0 if result["rates"] else 1)


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of all runs at one rate."""
    first = runs[0]
    merged: dict[str, Any] = {}
    for name, value in first.items():
        if isinstance(value, dict):
            merged[name] = _middle([run[name] for run in runs])
        else:
            merged[name] = None if value is None else round(median(run[name] for run in runs), 3)
    return merged


def show(result: dict[str, Any]) -> None:
    """The figures as a table."""
    table = Table(
        box=None,
        padding=(0, 0, 0, 1),
        title=f"{result['agents']:,} agents with {result['slots']} slots, {result['work_s']:g} s of work a task, "
        f"{result['coalitions']:.0%} for coalitions of two; {result['seconds']:g} s each",
    )
    for column in ("tasks/s", "done/s", "p50", "p99", "max", "done p50", "p99"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("worker", "broker", "crowd", "µs/task"):
        table.add_column(column, justify="right", no_wrap=True)
    for rate, run_ in result["rates"].items():
        directive, ended, cpus = run_["to_directive_ms"], run_["to_result_ms"], run_["cpus"]
        table.add_row(
            rate,
            f"{run_['completed_per_s']:,.0f}",
            *(f"{directive[name]:,.0f}" for name in ("p50", "p99", "max")),
            *(f"{ended[name]:,.0f}" for name in ("p50", "p99")),
            *(f"{cpus[name]:.2f}" if name in cpus else "" for name in ("worker", "broker", "crowd")),
            f"{run_['worker_us_per_task'] or 0:,.0f}",
        )
    console = Console()
    console.print(table)
    console.print(
        "Milliseconds from submission to directive, and to the result (done); worker, broker, crowd: processors "
        "that they kept busy; µs/task: of the worker.",
        style="dim",
    )
    for rate, reason in result["missing"].items():
        console.print(f"[red]{rate} tasks/s: {reason}[/]")


if __name__ == "__main__":
    app(prog_name="live.py")
