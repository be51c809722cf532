"""How a run of the demo went: the numbers at its end, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.cli.console import duration
from streams.dev.figures import Figures, Percentiles, percentiles

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run."""

    run: str
    agents: int
    wanted: int | None
    """Tasks that were to be done; ``None`` if there was no end."""
    submitted: int
    completed: int
    failed: int
    cancelled: int
    refused: int
    retried: int
    seconds: float
    """Wall time from the first submission to the summary."""
    throughput: float | None
    """Ended tasks per second of log time."""
    wait: Percentiles | None
    """From submission to the first directive."""
    whole: Percentiles | None
    """From submission to the end."""
    directives: int
    alerts: int
    dead_letters: int
    worker_starts: int
    failures: tuple[tuple[str, str], ...] = ()
    """The first tasks that did not complete: id and reason."""
    open: tuple[str, ...] = ()
    """The first tasks that have not ended."""

    @property
    def ended(self) -> int:
        return self.completed + self.failed + self.cancelled + self.refused

    @property
    def ok(self) -> bool:
        """Whether every task that was wanted completed."""
        return self.completed == (self.submitted if self.wanted is None else self.wanted)

    def on_wire(self) -> dict[str, object]:
        """As JSON; durations in seconds."""
        return {
            "ok": self.ok,
            "run": self.run,
            "agents": self.agents,
            "tasks": {
                "wanted": self.wanted,
                "submitted": self.submitted,
                "completed": self.completed,
                "failed": self.failed,
                "cancelled": self.cancelled,
                "refused": self.refused,
                "open": self.submitted - self.ended,
                "retried": self.retried,
            },
            "seconds": round(self.seconds, 3),
            "throughput": None if self.throughput is None else round(self.throughput, 3),
            "wait": self.wait.on_wire() if self.wait else None,
            "whole": self.whole.on_wire() if self.whole else None,
            "directives": self.directives,
            "alerts": self.alerts,
            "dead_letters": self.dead_letters,
            "worker_starts": self.worker_starts,
            "failures": [{"task_id": task, "reason": reason} for task, reason in self.failures],
            "open": list(self.open),
        }


def summarize(
    figures: Figures,
    *,
    run: str,
    agents: int,
    wanted: int | None,
    submitted: int,
    seconds: float,
    worker_starts: int,
) -> Summary:
    """The summary of what was counted."""
    return Summary(
        run=run,
        agents=agents,
        wanted=wanted,
        submitted=submitted,
        completed=figures.outcomes["completed"],
        failed=figures.outcomes["failed"],
        cancelled=figures.outcomes["cancelled"],
        refused=figures.outcomes["refused"],
        retried=figures.retried,
        seconds=seconds,
        throughput=figures.throughput(),
        wait=percentiles(figures.waits),
        whole=percentiles(figures.wholes),
        directives=figures.issued_total,
        alerts=figures.alert_total,
        dead_letters=figures.dead_letters,
        worker_starts=worker_starts,
        failures=tuple(figures.failures[:10]),
        open=tuple(task for task, _ in zip(figures.submitted, range(10), strict=False)),
    )


def drawn(summary: Summary) -> RenderableType:
    """The summary as a table."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE, show_header=False, pad_edge=False, show_edge=False)
    grid.add_column(style="dim")
    grid.add_column()
    open_tasks = summary.submitted - summary.ended
    tasks = Text.assemble((f"{summary.completed:,} completed", "green" if summary.completed else ""))
    for number, word, style in (
        (summary.failed, "failed", "bold red"),
        (summary.cancelled, "cancelled", "magenta"),
        (summary.refused, "refused", "bold red"),
        (open_tasks, "not ended", "yellow"),
    ):
        if number:
            tasks.append(f", {number:,} {word}", style)
    tasks.append(f" of {summary.wanted if summary.wanted is not None else summary.submitted:,}")
    grid.add_row("tasks", tasks)
    grid.add_row("retried", f"{summary.retried:,}")
    for name, found in (("wait for a directive", summary.wait), ("until the end", summary.whole)):
        if found is not None:
            times = (
                f"p50 {duration(found.p50)}   p99 {duration(found.p99)}   longest {duration(found.longest)}"
            )
            grid.add_row(name, times)
    if summary.throughput is not None:
        grid.add_row("throughput", f"{summary.throughput:,.1f} tasks/s")
    agents = f"{summary.agents:,}"
    grid.add_row("agents", agents)
    grid.add_row("directives", f"{summary.directives:,}")
    grid.add_row("alerts", f"{summary.alerts:,}")
    if summary.dead_letters:
        grid.add_row("dead letters", f"{summary.dead_letters:,}")
    if summary.worker_starts > 1:
        grid.add_row("worker", f"started {summary.worker_starts} times")
    grid.add_row("run", f"{summary.run}, {duration(summary.seconds)}")
    parts: list[RenderableType] = [grid]
    for task, reason in summary.failures:
        parts.append(Text.assemble(("✗ ", "bold red"), f"{task}  {reason}"))
    if summary.open and summary.wanted is None:
        parts.append(Text("What has not ended goes on with the next start on the same Kafka.", "dim"))
    elif summary.open:
        parts.append(Text(f"not ended, for example: coordinator explain task {summary.open[0]}", "yellow"))
    return Group(*parts)
