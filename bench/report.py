"""Figures as people read them, and as a picture."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.environments import python_of
from bench.runner import ROOT


def print_result(result: dict[str, Any], whats: dict[str, str], console: Console) -> None:
    """The result as tables; ``whats`` says what the rows do."""
    printer = {"latency": _latency, "memory": _memory, "scale": _scale}.get(result["workload"], _throughput)
    printer(result, console)
    for name, what in whats.items():
        console.print(f"{name:14} {what}", style="dim", highlight=False)
    for name, reason in result["missing"].items():
        console.print(f"[yellow]no figures of {name}:[/] {reason}", highlight=False)


def _table(title: str, first: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_style="bold", box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _throughput(result: dict[str, Any], console: Console) -> None:
    measured = (
        f"{result['events']:,} events of {result['agents']:,} agents, {result['bytes_per_event']} B each, "
        f"{result['partitions']} partitions, {result['repetitions']} runs each"
    )
    headings = ("least", "median", "last third", "of limit", "wall kev/s", "peak MB")
    closed = any("closed" in row for row in result["rows"].values())
    table = _table(
        f"{result['workload']}: {result['what']}\n{measured}",
        "row",
        (*headings, "closed") if closed else headings,
    )
    for name, row in sorted(result["rows"].items(), key=lambda row: -row[1]["kev_per_cpu_s"]["median"]):
        table.add_row(
            name,
            f"{row['kev_per_cpu_s']['min']:.0f}",
            f"{row['kev_per_cpu_s']['median']:.0f}",
            _or_blank(row["last_third_kev_per_cpu_s"], ".0f"),
            _or_blank(row["ratio_to_limit"], ".2f"),
            f"{row['wall_kev_s']:.0f}",
            f"{row['rss_mb']:.0f}",
            *([_or_blank(row.get("closed"), ",")] if closed else []),
            style="bold" if name.startswith("ours") else None,
        )
    console.print(table)
    console.print(
        "Thousands of events per second of CPU time of the process that does the work, all its threads. Compare "
        "rows of one run only.",
        style="dim",
    )


def _latency(result: dict[str, Any], console: Console) -> None:
    measured = (
        f"{result['agents']:,} agents, {result['partitions']} partitions, {result['repetitions']} runs of "
        f"{result['seconds']:g} s each"
    )
    table = _table(
        f"latency: {result['what']}\n{measured}",
        "events/s",
        ("row", "p50 ms", "p90 ms", "p99 ms", "max ms", "p50/raw", "p99/raw", "late ms"),
    )
    for rate, rows in result["rates"].items():
        for name, row in rows["rows"].items():
            ratios = row.get("ratio_to_raw", {})
            table.add_row(
                rate,
                name,
                *(f"{row[f'{quantile}_ms']:.1f}" for quantile in ("p50", "p90", "p99", "max")),
                _or_blank(ratios.get("p50"), ".2f"),
                _or_blank(ratios.get("p99"), ".2f"),
                f"{row['generator_late_ms']:.1f}",
                style="bold" if name.startswith("ours") else None,
            )
    console.print(table)
    console.print(
        "Medians over the runs; of max, and of how late the load generator was itself, the worst.",
        style="dim",
    )


def _memory(result: dict[str, Any], console: Console) -> None:
    table = _table(
        f"memory: {result['what']}\n{result['partitions']} partitions, {result['repetitions']} runs each",
        "agents",
        ("row", "windows open", "windows closed"),
    )
    for agents, rows in result["sizes"].items():
        for name, row in rows["rows"].items():
            table.add_row(
                f"{int(agents):,}",
                name,
                _or_blank(row.get("open_bytes"), ","),
                f"{row['closed_bytes']:,}",
            )
    console.print(table)


def _scale(result: dict[str, Any], console: Console) -> None:
    measured = (
        f"{result['events']:,} events; unless varied {result['agents']:,} agents, {result['partitions']} "
        f"partitions, a checkpoint a second, one process; {result['repetitions']} runs each"
    )
    table = _table(
        f"scale: {result['what']}\n{measured}",
        "varied",
        ("value", "µs least", "median", "ratio", "kev/s", "ratio", "MB", "broker CPUs"),
    )
    for dimension, figures in result["dimensions"].items():
        for one in figures:
            table.add_row(
                dimension.partition("_")[0],
                f"{one['value']:,g}",
                f"{one['us_per_event']['min']:.2f}",
                f"{one['us_per_event']['median']:.2f}",
                f"{one['cost']:.2f}",
                f"{one['wall_kev_s']:.0f}",
                f"{one['speed']:.2f}",
                f"{one['rss_mb']:.0f}",
                _or_blank(one["broker_cpus"], ".2f"),
            )
    console.print(table)
    console.print(
        "Microseconds of CPU time an event, of all processes that do the work, all their threads.",
        style="dim",
    )


def _or_blank(figure: float | None, form: str) -> str:
    return "" if figure is None else format(figure, form)


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the result as a picture; matplotlib gets an environment of its own.

    Raises:
        OSError: if that cannot be done.
    """
    python = python_of("plot", "matplotlib==3.10.0")
    done = subprocess.run(
        [python, "-m", "bench.plot", str(path.absolute())],
        input=json.dumps(result),
        text=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    if done.returncode:
        raise OSError(f"the picture could not be drawn: {done.stderr.strip()[-500:]}")
