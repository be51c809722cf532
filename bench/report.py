"""Figures as people read them, and as a picture."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.environments import python_of

_PLOT = """
import json, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
data = json.loads(sys.stdin.read())
rows = sorted(data["rows"].items(), key=lambda row: row[1]["kev_per_cpu_s"]["median"])
names = [name for name, _ in rows]
rates = [row["kev_per_cpu_s"]["median"] for _, row in rows]
spread = [[rate - row["kev_per_cpu_s"]["min"] for rate, (_, row) in zip(rates, rows)],
          [row["kev_per_cpu_s"]["max"] - rate for rate, (_, row) in zip(rates, rows)]]
figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.4))
colors = ["#0b7285" if name.startswith("ours") else "#adb5bd" for name in names]
axes.barh(names, rates, xerr=spread, color=colors, ecolor="#495057", capsize=3)
axes.set_xlabel("thousand events per CPU-second: median, with least and most")
axes.set_title(f"{data['workload']}: {data['events']:,} events of {data['agents']:,} agents")
axes.spines[["top", "right"]].set_visible(False)
figure.tight_layout()
figure.savefig(sys.argv[1], dpi=144)
"""


def print_table(result: dict[str, Any], whats: dict[str, str], console: Console) -> None:
    """The result as a table, best row first."""
    measured = (
        f"{result['events']:,} events of {result['agents']:,} agents, {result['bytes_per_event']} B each, "
        f"{result['partitions']} partitions, {result['repetitions']} runs each"
    )
    table = Table(
        title=f"{result['workload']}: {result['what']}\n{measured}",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("row")
    for heading in ("kev/CPU-s min", "median", "warm", "of limit", "wall kev/s", "peak MB"):
        table.add_column(heading, justify="right")
    table.add_column("what it does", style="dim", overflow="fold")
    for name, row in _best_first(result["rows"]):
        ratio = row["ratio_to_limit"]
        table.add_row(
            name,
            f"{row['kev_per_cpu_s']['min']:.0f}",
            f"{row['kev_per_cpu_s']['median']:.0f}",
            f"{row['warm_kev_per_cpu_s']['median']:.0f}",
            "" if ratio is None else f"{ratio:.2f}",
            f"{row['wall_kev_s']:.0f}",
            f"{row['rss_mb']:.0f}",
            whats.get(name, ""),
            style="bold" if name.startswith("ours") else None,
        )
    console.print(table)
    for name, reason in result["missing"].items():
        console.print(f"[yellow]no figures of {name}:[/] {reason}", highlight=False)
    console.print(
        "Thousands of events per second of CPU time of the process that does the work, all its threads. Compare "
        "rows of one run only.",
        style="dim",
    )


def _best_first(rows: dict[str, dict[str, Any]]) -> Sequence[tuple[str, dict[str, Any]]]:
    return sorted(rows.items(), key=lambda row: -row[1]["kev_per_cpu_s"]["median"])


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the result as a picture; matplotlib gets an environment of its own.

    Raises:
        OSError: if that cannot be done.
    """
    python = python_of("plot", "matplotlib==3.10.0")
    done = subprocess.run(
        [python, "-c", _PLOT, str(path)],
        input=json.dumps(result),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"the picture could not be drawn: {done.stderr.strip()[-500:]}")
