"""Progress as plain lines, for logs and pipes, where no live view can be."""

from __future__ import annotations

import asyncio
import time

from streams.cli import console
from streams.cli.console import clock, duration
from streams.dev.figures import percentiles
from streams.dev.run import DemoRun

INTERVAL = 2.0


async def tell_progress(run: DemoRun) -> None:
    """A line on standard error every :data:`INTERVAL` seconds in which something changed, and for each alert."""
    told, alerts = "", 0
    while True:
        figures = run.figures
        fresh = min(figures.alert_total - alerts, len(figures.alerts))
        for alert in list(figures.alerts)[len(figures.alerts) - fresh :]:
            say(f"alert {alert.get('type')}  {alert.get('subject')}  {alert.get('reason')}")
        alerts = figures.alert_total
        line = progress(run)
        if line != told:
            say(line)
            told = line
        await asyncio.sleep(INTERVAL)


def progress(run: DemoRun) -> str:
    """How far the run is, on one line."""
    figures, wanted = run.figures, run.options.tasks
    of = f" of {wanted:,}" if wanted else ""
    line = f"submitted {run.demo.submitted:,}  ended {figures.ended_total:,}{of}"
    for outcome in ("failed", "cancelled", "refused"):
        if figures.outcomes[outcome]:
            line += f"  {outcome} {figures.outcomes[outcome]:,}"
    if (waits := percentiles(figures.waits)) is not None:
        line += f"  wait p50 {duration(waits.p50)} p99 {duration(waits.p99)}"
        line += f"  {figures.rate(now_ms()):,.0f} tasks/s"
    return line


def say(text: str) -> None:
    """One line with the time in front."""
    console.err().print(f"{clock(now_ms())}  {text}", markup=False)


def now_ms() -> int:
    return round(time.time() * 1000)
