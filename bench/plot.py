"""Draws a result, read from standard input, into the file that it is given. Runs where matplotlib is installed."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

OURS, OTHERS, LINES = "#0b7285", "#adb5bd", "#495057"
DIMENSIONS = {
    "agents": "agents",
    "partitions": "partitions",
    "checkpoint_interval": "seconds between checkpoints",
    "processes": "processes",
}


def throughput(result: dict[str, Any]) -> Any:
    rows = sorted(result["rows"].items(), key=lambda row: row[1]["kev_per_cpu_s"]["median"])
    names = [name for name, _ in rows]
    figures = [row["kev_per_cpu_s"] for _, row in rows]
    rates = [one["median"] for one in figures]
    spread = [
        [one["median"] - one["min"] for one in figures],
        [one["max"] - one["median"] for one in figures],
    ]
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.4))
    axes.barh(names, rates, xerr=spread, color=[color(name) for name in names], ecolor=LINES, capsize=3)
    third = [(name, row["last_third_kev_per_cpu_s"]) for name, row in rows if row["last_third_kev_per_cpu_s"]]
    axes.plot([rate for _, rate in third], [name for name, _ in third], "|", color="black", markersize=12)
    axes.set_xlabel("thousand events per CPU-second: median, least and most; a mark for the last third alone")
    axes.set_title(f"{result['workload']}: {result['events']:,} events of {result['agents']:,} agents")
    return figure


def latency(result: dict[str, Any]) -> Any:
    rates = {rate: one["rows"] for rate, one in result["rates"].items() if one["rows"]}
    figure, all_axes = plt.subplots(1, len(rates), figsize=(4 * len(rates) + 1, 4), squeeze=False)
    quantiles = ["p50", "p90", "p99", "max"]
    for axes, (rate, rows) in zip(all_axes[0], rates.items(), strict=True):
        width = 0.8 / len(rows)
        for number, (name, row) in enumerate(rows.items()):
            places = [at + number * width for at in range(len(quantiles))]
            heights = [row[f"{quantile}_ms"] for quantile in quantiles]
            bars = axes.bar(places, heights, width, label=name, color=color(name))
            axes.bar_label(bars, fmt="%.3g", fontsize=7)
        axes.set_xticks([at + 0.4 - width / 2 for at in range(len(quantiles))], quantiles)
        axes.set_yscale("log")
        axes.set_title(f"{int(rate):,} events/s")
        axes.set_ylabel("milliseconds")
        axes.legend(frameon=False)
    return figure


def memory(result: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, style in (("fold", "o-"), ("worker", "s--")):
        for kind in ("open_bytes", "closed_bytes"):
            points = [
                (int(agents), one["rows"][name][kind])
                for agents, one in result["sizes"].items()
                if kind in one["rows"].get(name, {})
            ]
            if points:
                label = f"{name}, windows {kind.removesuffix('_bytes')}"
                axes.plot(*zip(*points, strict=True), style, label=label)
    axes.axhline(result["bar_bytes"], color=LINES, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("agents")
    axes.set_ylabel("bytes for each agent")
    axes.legend(frameon=False)
    return figure


def scale(result: dict[str, Any]) -> Any:
    dimensions = result["dimensions"]
    figure, all_axes = plt.subplots(
        1, len(dimensions), figsize=(3.4 * len(dimensions) + 0.6, 3.4), squeeze=False
    )
    for axes, (name, figures) in zip(all_axes[0], dimensions.items(), strict=True):
        places = range(len(figures))
        costs = [one["us_per_event"] for one in figures]
        spread = [
            [one["median"] - one["min"] for one in costs],
            [one["max"] - one["median"] for one in costs],
        ]
        axes.errorbar(places, [one["median"] for one in costs], yerr=spread, fmt="o-", color=OURS, capsize=3)
        axes.set_xticks(places, [f"{one['value']:g}" for one in figures])
        axes.set_ylim(0, 1.15 * max(one["max"] for one in costs))
        axes.set_xlabel(DIMENSIONS[name])
    all_axes[0][0].set_ylabel("µs of CPU for each event")
    return figure


def simulate(result: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(8, 5))
    for name, points in result["curves"].items():
        seconds = [max(wait, 0.001) for wait, _ in points]
        axes.plot(seconds, [share for _, share in points], label=name, lw=3 if name == "ours" else 1)
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="share of the tasks that waits longer")
    scenario = result["scenario"]
    axes.set_title(f"{scenario['agents']:,} agents at load {scenario['load']:g}, {result['seeds']} seeds")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def color(name: str) -> str:
    return OURS if name.startswith("ours") else OTHERS


def main() -> None:
    result = json.load(sys.stdin)
    draw = {"latency": latency, "memory": memory, "scale": scale, "simulate": simulate}.get(
        result["workload"], throughput
    )
    figure = draw(result)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=144)


if __name__ == "__main__":
    main()
