"""The live view of ``coordinator dev``: one screen, drawn anew several times a second. Only drawing lives here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.cli.agents import words
from streams.cli.console import STYLES, clock, duration, shortened
from streams.cli.explain import WAITS
from streams.dev.figures import Figures, percentiles

TASK_STATES = ("pending", "forming", "assigned", "running", "completed", "failed", "cancelled")


@dataclass(slots=True)
class Scene:
    """Everything that one picture shows."""

    figures: Figures
    kafka: str
    hints: Sequence[tuple[str, str]]
    """What to try next: a command, and what it shows."""
    started_ms: int
    now_ms: int = 0
    worker_http: str | None = None
    worker_pid: int | None = None
    worker_starts: int = 0
    worker_state: str = "starting"
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The fleet's figures as the worker folds them."""
    agents: Sequence[Mapping[str, Any]] = ()
    oldest: Mapping[str, Any] | None = None
    """The explanation of the task that has waited longest."""
    wanted: int | None = None
    """How many tasks are to be submitted in all, if there is an end."""
    submitted: int = 0
    messages: Sequence[tuple[int, str]] = ()
    """What happened to the processes: epoch milliseconds and a sentence."""


def draw(scene: Scene, width: int, height: int) -> RenderableType:
    """The whole screen."""
    layout = Layout()
    alerts = min(6, 2 + max(1, len(scene.figures.alerts) + len(scene.messages)))
    hints = len(scene.hints) + 2
    layout.split_column(
        Layout(_header(scene), size=3),
        Layout(name="middle", ratio=1),
        Layout(_news(scene, alerts - 2), size=alerts),
        Layout(_hints(scene), size=hints if height >= 26 else 0, visible=height >= 26),
    )
    middle_height = height - 3 - alerts - (hints if height >= 26 else 0)
    left, right = Layout(name="left", ratio=3), Layout(name="right", ratio=4)
    layout["middle"].split_row(left, right)
    left.update(_agents(scene, middle_height - 4))
    right.split_column(
        Layout(_queue(scene), size=9),
        Layout(_directives(scene, middle_height - 9 - 2), ratio=1),
    )
    return layout


def _header(scene: Scene) -> Panel:
    state_style = {"ready": "green", "starting": "yellow"}.get(scene.worker_state, "bold red")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("coordinator dev", "bold")
    line.append("   kafka ", "dim")
    line.append(scene.kafka)
    line.append("   worker ", "dim")
    line.append(scene.worker_state, state_style)
    if scene.worker_pid is not None:
        line.append(f" pid {scene.worker_pid}")
    if scene.worker_starts > 1:
        line.append(f" (start {scene.worker_starts})", "yellow")
    if scene.worker_http:
        line.append("   http ", "dim")
        line.append(scene.worker_http)
    line.append("   up ", "dim")
    line.append(duration((scene.now_ms - scene.started_ms) / 1000))
    return Panel(line, box=box.ROUNDED, border_style="dim")


def _queue(scene: Scene) -> Panel:
    counts = task_counts(scene)
    figures = scene.figures
    states = Text(no_wrap=True, overflow="ellipsis")
    for state in TASK_STATES:
        number = counts.get(state, 0)
        if number or state not in ("forming", "failed", "cancelled"):
            states.append(f"{number:,} ", STYLES.get(state, "") if number else "dim")
            states.append(f"{state}  ", "" if number else "dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=len("until the end"))
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row("tasks", states)
    grid.add_row("oldest waits", _waits(scene))
    grid.add_row("wait", _times(figures.waits))
    grid.add_row("until the end", _times(figures.wholes))
    pace = Text.assemble((f"{figures.rate(scene.now_ms):,.1f}", "bold"), " tasks/s")
    if figures.retried:
        pace.append(f"   retried {figures.retried:,}", "yellow")
    if figures.dead_letters:
        pace.append(f"   dead letters {figures.dead_letters:,}", "red")
    grid.add_row("throughput", pace)
    grid.add_row("submitted", f"{scene.submitted:,}")
    if scene.wanted is not None:
        grid.add_row("ended", _progress(scene.figures.ended_total, scene.wanted))
    return Panel(grid, title="Queue", title_align="left", box=box.ROUNDED, border_style="dim")


def task_counts(scene: Scene) -> Mapping[str, int]:
    """Tasks by state as the worker folds them."""
    counts = scene.summary.get("tasks")
    return counts if isinstance(counts, Mapping) else {}


def _waits(scene: Scene) -> Text:
    """Why the oldest pending task waits, and how many nobody could ever do."""
    line = Text(no_wrap=True, overflow="ellipsis")
    if scene.oldest is not None:
        reason = str(scene.oldest["reason"])
        line.append(f"{scene.oldest['task_id']}: {WAITS.get(reason, reason)}")
    if impossible := task_counts(scene).get("impossible"):
        line.append(f"   {impossible:,} no agent could hold", "bold red")
    return line if line else Text("nothing waits", "dim")


def _times(milliseconds: Sequence[int] | Any) -> Text:
    found = percentiles(milliseconds)
    if found is None:
        return Text("–", "dim")
    return Text.assemble(
        ("p50 ", "dim"),
        f"{duration(found.p50):8}",
        ("  p99 ", "dim"),
        f"{duration(found.p99):8}",
        ("  longest ", "dim"),
        duration(found.longest),
        no_wrap=True,
        overflow="ellipsis",
    )


def _progress(done: int, wanted: int) -> Text:
    width = 24
    full = round(width * done / max(1, wanted))
    return Text.assemble(
        f"{done:,} of {wanted:,}  ", ("━" * full, "green"), ("━" * (width - full), "bright_black")
    )


def _agents(scene: Scene, room: int) -> Panel:
    grid = Table(
        box=None,
        pad_edge=False,
        expand=True,
        header_style="dim",
        padding=(0, 1),
        show_header=True,
    )
    grid.add_column("agent", no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column("state", no_wrap=True)
    grid.add_column("slots", no_wrap=True)
    grid.add_column("done", justify="right", no_wrap=True)
    # Those in trouble come first: when there is not room for all, they are the ones to see.
    present = [agent for agent in scene.agents if agent["liveness"] != "deregistered"]
    ordered = sorted(present, key=lambda agent: agent["liveness"] not in ("suspected", "lost"))
    shown = ordered[: max(1, room - (len(ordered) > room))]
    for agent in shown:
        name = str(agent["agent_id"])
        state = words(agent)[0]
        grid.add_row(
            shortened(name, 40),
            Text(state, STYLES.get(state, "")),
            slots(int(agent["held"]), int(agent["slots"])),
            f"{scene.figures.finished[name]:,}",
        )
    body: list[RenderableType] = [grid]
    if len(ordered) > len(shown):
        body.append(Text(f"… and {len(ordered) - len(shown):,} more", "dim"))
    if not ordered:
        body = [Text("no agent has registered yet", "dim")]
    title = f"Agents ({len(ordered):,})"
    return Panel(Group(*body), title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def slots(used: int, total: int) -> Text:
    """Occupied and free slots, one mark each while they fit."""
    if total > 8:
        return Text(f"{used}/{total}")
    used = min(used, total)
    return Text.assemble(("■" * used, "cyan"), ("□" * (total - used), "bright_black"))


def _directives(scene: Scene, room: int) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, min_width=len("12:34:56.789"))
    grid.add_column(no_wrap=True, min_width=len("assign_task"))
    grid.add_column(no_wrap=True, overflow="ellipsis")
    latest = list(scene.figures.directives)[-max(1, room) :] if room > 0 else []
    for directive in reversed(latest):
        kind = str(directive.get("type"))
        issued = directive.get("issued_at")
        moment = clock(round(issued * 1000)) if isinstance(issued, int | float) else ""
        what = f"{directive.get('agent_id')} ← {directive.get('task_id') or directive.get('directive_id')}"
        attempt = directive.get("attempt")
        if isinstance(attempt, int) and attempt > 1:
            what += f"  (attempt {attempt})"
        grid.add_row(Text(moment, "dim"), Text(kind, STYLES.get(kind, "")), shortened(what, 120))
    body: RenderableType = grid if latest else Text("none yet", "dim")
    title = f"Directives ({scene.figures.issued_total:,})"
    return Panel(body, title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _news(scene: Scene, room: int) -> Panel:
    own = [(at, Text(text, "bold yellow")) for at, text in scene.messages]
    # Deaths of the worker stay in sight, however many alerts follow.
    room = max(1, room - len(own))
    told: list[tuple[int, Text]] = []
    for alert in list(scene.figures.alerts)[-room:]:
        kind, at = str(alert.get("type")), alert.get("time")
        text = Text.assemble(
            (kind, STYLES.get(kind, "bold red")), f"  {alert.get('subject')}  {alert.get('reason')}"
        )
        told.append((round(at * 1000) if isinstance(at, int | float) else 0, text))
    lines = sorted(own + told, key=lambda line: line[0])
    shown = [Text.assemble((clock(at), "dim"), "  ", text) for at, text in lines]
    body: RenderableType = Group(*shown) if shown else Text("none", "dim")
    return Panel(
        body,
        title=f"Alerts ({scene.figures.alert_total:,})",
        title_align="left",
        box=box.ROUNDED,
        border_style="dim",
    )


def _hints(scene: Scene) -> Panel:
    grid = Table.grid(padding=(0, 3))
    widest = max((len(command) for command, _ in scene.hints), default=0)
    grid.add_column(style="cyan", no_wrap=True, min_width=widest)
    grid.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    for command, meaning in scene.hints:
        grid.add_row(Text(command), Text(meaning))
    return Panel(
        grid,
        title="Try next, in another terminal (Ctrl-C stops here)",
        title_align="left",
        box=box.ROUNDED,
        border_style="dim",
    )
