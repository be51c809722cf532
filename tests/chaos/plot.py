"""Draws what a run recorded: ``plot.py gauges.jsonl gauges.png``. Runs where matplotlib is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

SHOWN = {
    "lag, records": ("lag", 1),
    "running workers": ("workers", 1),
    "memory, MB": ("memory", 1e6),
    "open files": ("files", 1),
    "store, MB": ("store", 1e6),
}


def main(source: str, target: str) -> None:
    lines = [json.loads(line) for line in Path(source).read_text().splitlines()]
    looks = [line for line in lines if "fault" not in line]
    seconds = [look["seconds"] for look in looks]
    figure, axes = pyplot.subplots(len(SHOWN), 1, sharex=True, figsize=(12, 2 * len(SHOWN)))
    for axis, (name, (gauge, unit)) in zip(axes, SHOWN.items(), strict=True):
        axis.plot(seconds, [look[gauge] / unit for look in looks], linewidth=0.9)
        axis.set_ylabel(name)
        for line in lines:
            if "fault" in line:
                axis.axvline(line["seconds"], color="tab:red", alpha=0.15, linewidth=0.7)
    axes[-1].set_xlabel("seconds; each red line is a fault")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
