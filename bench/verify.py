"""How fast a history is verified: events of a fleet, folded by a real worker, then ``coordinator verify``.

``python bench/verify.py --help`` tells how. What is counted is the CPU time of the verifying process, from its
start to its verdict, reading included.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Annotated, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer

from bench.live import NotMeasured, worker
from bench.program import AsJson, OnKafka, fail
from bench.throughput import broker
from bench.workload import WORKLOADS, load
from streams.cli.console import print_json

PATIENCE = 600.0
"""Seconds in which the worker must have folded everything."""
PARTITIONS = 4

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def verify(
    events: Annotated[int, typer.Option(min=1_000, help="How many events.")] = 1_000_000,
    agents: Annotated[int, typer.Option(min=1, help="Of how many agents.")] = 10_000,
    workload: Annotated[str, typer.Option(help=f"Of {', '.join(WORKLOADS)}.")] = "throughput",
    jobs: Annotated[int, typer.Option(min=1, help="Processes that fold the events.")] = 1,
    bootstrap: OnKafka = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast a history is verified.

    [b]Examples[/b]

      python bench/verify.py

      python bench/verify.py --events 300000 --agents 1000 --json
    """
    if workload not in WORKLOADS:
        fail(f"there is no workload {workload!r}; there are {', '.join(WORKLOADS)}")
    with broker(bootstrap) as (address, _):
        try:
            result = _measured(address, workload, events, agents, jobs)
        except NotMeasured as error:
            fail(str(error))
    if as_json:
        print_json(result)
    else:
        print(
            f"{result['records']:,} records of {agents:,} agents in {result['seconds']:.1f} s, by {jobs} "
            f"{'process' if jobs == 1 else 'processes'}, and {result['cpu_s']:.1f} CPU-seconds: "
            f"{result['records_per_cpu_s']:,.0f} a CPU-second, "
            f"{result['records_per_cpu_s_at_work']:,.0f} once it has started; at most {result['rss_mb']:.0f} MB; "
            f"{result['counts']}"
        )
    raise typer.Exit(0 if result["verified"] else 1)


def _measured(address: str, workload: str, events: int, agents: int, jobs: int) -> dict[str, Any]:
    prefix = f"verify-{uuid.uuid4().hex[:8]}."
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as directory:
        with worker(prefix, address, Path(directory)) as (process, http):
            print(f"loading {events:,} events …", file=sys.stderr)
            load(
                address,
                f"{prefix}events",
                WORKLOADS[workload],
                count=events,
                agents=agents,
                partitions=PARTITIONS,
                progress=lambda done: None,
            )
            deadline = time.monotonic() + PATIENCE
            while _folded(http) < events:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise NotMeasured(f"the worker has folded {_folded(http):,} of {events:,} events")
                time.sleep(0.2)
            time.sleep(2)  # until what follows from them is there, too
        print("verifying …", file=sys.stderr)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [
            sys.executable,
            "-m",
            "streams.cli.main",
            "verify",
            "--json",
            "--jobs",
            str(jobs),
            "-b",
            address,
            "--prefix",
            prefix,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not done.stdout:
        raise NotMeasured(done.stderr)
    report = json.loads(done.stdout)
    records = sum(books["records"] for books in report["accounting"].values())
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "workload": workload,
        "agents": agents,
        "records": records,
        "jobs": jobs,
        "seconds": report["rate"]["seconds"],
        "cpu_s": round(spent, 2),
        "records_per_cpu_s": round(records / spent),
        "records_per_cpu_s_at_work": report["rate"]["records_per_cpu_second"],
        "rss_mb": round(after.ru_maxrss / 1024, 1),
        "verified": report["verified"],
        "counts": report["counts"],
        "findings": report["findings"][:5],
    }


def _folded(http: str) -> int:
    """Records of the events that the worker has folded, by its own count."""
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(
        r'^coordinator_records_total\{[^}]*topic="[^"]*events"[^}]*\} ([0-9.e+]+)', text, re.MULTILINE
    )
    return round(sum(map(float, found)))


if __name__ == "__main__":
    app(prog_name="verify.py")
