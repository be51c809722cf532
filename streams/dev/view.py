"""The live view of ``coordinator dev``: one screen, drawn anew several times a second. Only drawing lives here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from models.fleet.views import agent_states
from streams.cli.console import STYLES, clock, duration, shortened
from streams.cli.explain import WAITS
from streams.dev.figures import Figures, percentiles
from streams.dev.fit import beside_or_below, ending, first_that_fits, packed

TASK_STATES = ("pending", "forming", "assigned", "running", "completed", "failed", "cancelled")

HEADER = 3
FRAME = 4
"""Columns that a panel takes for itself."""

FEW = 3
LEAST_MIDDLE = 14
"""Rows for agents, queue and directives before hints take any; half of them while there are few agents, whose
owner still needs the hints."""

QUEUE_NAMES = len("until the end") + 2


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
    """The whole screen; every panel is told the room it has, and drops what matters least."""
    layout = Layout()
    news = min(6, 2 + max(1, len(scene.figures.alerts) + len(scene.messages)))
    least = LEAST_MIDDLE if len(scene.agents) > FEW else LEAST_MIDDLE // 2
    hints = _hints(scene, width - FRAME, height - HEADER - news - least - 2)
    middle = height - HEADER - news - (len(hints) + 2 if hints else 0)
    layout.split_column(
        Layout(_header(scene, width - FRAME), size=HEADER),
        Layout(name="middle", ratio=1),
        Layout(_news(scene, news - 2), size=news),
        Layout(
            _panel(Group(*hints), "Try next, in another terminal"), size=len(hints) + 2, visible=bool(hints)
        ),
    )
    agents, agents_width = _agents(scene, middle - 3, width * 9 // 20)
    room = width - agents_width - FRAME
    queue = _queue(scene, room, max(4, middle - 6))
    right = Layout()
    layout["middle"].split_row(Layout(agents, size=agents_width), right)
    right.split_column(
        Layout(_panel(Group(*queue), "Queue"), size=len(queue) + 2),
        Layout(_directives(scene, room, middle - len(queue) - 4), ratio=1),
    )
    return layout


def _panel(body: RenderableType, title: str) -> Panel:
    return Panel(body, title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _header(scene: Scene, width: int) -> Panel:
    host = scene.kafka.rpartition(":")[0]
    http = scene.worker_http or ""
    short = http.removeprefix(host) if host else http
    variants = [
        _header_line(scene, http, "   ", len(scene.worker_state)),
        _header_line(scene, http, "  ", len(scene.worker_state)),
        _header_line(scene, short, "  ", len(scene.worker_state)),
        _header_line(scene, short, "  ", 12),
    ]
    return _panel(first_that_fits(variants, width), "coordinator dev, Ctrl-C stops it")


def _header_line(scene: Scene, http: str, gap: str, room: int) -> Text:
    state_style = {"ready": "green", "starting": "yellow"}.get(scene.worker_state, "bold red")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("kafka ", "dim").append(scene.kafka)
    line.append(f"{gap}worker ", "dim").append(shortened(scene.worker_state, max(1, room)), state_style)
    if scene.worker_pid is not None:
        line.append(f" pid {scene.worker_pid}")
    if scene.worker_starts > 1:
        line.append(f" (start {scene.worker_starts})", "yellow")
    if http:
        line.append(f"{gap}http ", "dim").append(http)
    return line.append(f"{gap}up ", "dim").append(duration((scene.now_ms - scene.started_ms) / 1000))


def _queue(scene: Scene, width: int, most: int) -> list[Text]:
    """The lines of the queue, each with its name in front; what is counted is never cut, times go first."""
    figures = scene.figures
    room = max(1, width - QUEUE_NAMES)
    pace = [Text.assemble((f"{figures.rate(scene.now_ms):,.1f}", "bold"), " tasks/s")]
    if figures.retried:
        pace.append(Text(f"retried {figures.retried:,}", "yellow"))
    if figures.dead_letters:
        pace.append(Text(f"dead letters {figures.dead_letters:,}", "red"))
    rows = [
        ("tasks", packed(_states(scene), room)),
        ("oldest waits", _waits(scene, room)),
        ("wait", [_times(figures.waits, room)]),
        ("until the end", [_times(figures.wholes, room)]),
        ("throughput", packed(pace, room)),
        ("submitted", [Text(f"{scene.submitted:,}")]),
    ]
    if scene.wanted is not None:
        rows.append(("ended", [_progress(figures.ended_total, scene.wanted, room)]))
    for name in ("until the end", "wait", "oldest waits"):
        if sum(len(lines) for _, lines in rows) > most:
            rows = [row for row in rows if row[0] != name]
    return [
        Text.assemble((name.ljust(QUEUE_NAMES), "dim"), line, no_wrap=True, overflow="ellipsis")
        for title, lines in rows
        for name, line in zip((title, *[""] * len(lines)), lines, strict=False)
    ]


def _states(scene: Scene) -> list[Text]:
    counts = task_counts(scene)
    return [
        Text.assemble(
            (f"{number:,} ", STYLES.get(state, "") if number else "dim"), (state, "" if number else "dim")
        )
        for state in TASK_STATES
        if (number := counts.get(state, 0)) or state not in ("forming", "failed", "cancelled")
    ]


def task_counts(scene: Scene) -> Mapping[str, int]:
    """Tasks by state as the worker folds them."""
    counts = scene.summary.get("tasks")
    return counts if isinstance(counts, Mapping) else {}


def _waits(scene: Scene, width: int) -> list[Text]:
    """Why the oldest pending task waits, and how many nobody could ever do."""
    lines: list[Text] = []
    if scene.oldest is not None:
        reason = str(scene.oldest["reason"])
        told = f"{shortened(str(scene.oldest['task_id']), 60)}: {WAITS.get(reason, reason)}"
        lines += [Text(line) for line in wrap(told, width)]
    if impossible := task_counts(scene).get("impossible"):
        lines.append(Text(f"{impossible:,} no agent could hold", "bold red"))
    return lines or [Text("nothing waits", "dim")]


def _times(milliseconds: Sequence[int] | Any, width: int) -> Text:
    found = percentiles(milliseconds)
    if found is None:
        return Text("–", "dim")
    short = Text.assemble(("p50 ", "dim"), f"{duration(found.p50):8}", ("  p99 ", "dim"), duration(found.p99))
    whole = Text.assemble(
        ("p50 ", "dim"),
        f"{duration(found.p50):8}",
        ("  p99 ", "dim"),
        f"{duration(found.p99):8}",
        ("  longest ", "dim"),
        duration(found.longest),
    )
    return first_that_fits([whole, short], width)


def _progress(done: int, wanted: int, room: int) -> Text:
    told = f"{done:,} of {wanted:,}  "
    width = max(0, min(24, room - len(told)))
    full = round(width * done / max(1, wanted))
    return Text.assemble(told, ("━" * full, "green"), ("━" * (width - full), "bright_black"))


def _agents(scene: Scene, room: int, widest: int) -> tuple[Panel, int]:
    """As many agents as there are rows, and the width they take: of long names the end stays."""
    # Those in trouble come first: when there is not room for all, they are the ones to see.
    present = [agent for agent in scene.agents if agent["liveness"] != "deregistered"]
    ordered = sorted(present, key=lambda agent: agent["liveness"] not in ("suspected", "lost"))
    shown = ordered[: max(1, room - (len(ordered) > room))]
    rows = [
        (
            str(agent["agent_id"]),
            word := agent_states(agent)[0],
            STYLES.get(word, ""),
            slots(int(agent["held"]), int(agent["slots"])),
            f"{scene.figures.finished[str(agent['agent_id'])]:,}",
        )
        for agent in shown
    ]
    others = sum(
        2 + max([len(title), *(len(row[place]) for row in rows)])
        for title, place in (("state", 1), ("slots", 3), ("done", 4))
    )
    longest = max([len("agent"), *(len(name) for name, *_ in rows)])
    width = max(len("no agent has registered yet") + FRAME, min(widest, longest + others + FRAME))
    grid = Table.grid(padding=(0, 2))
    names = max(1, width - others - FRAME)
    for _ in range(3):
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(
        Text("agent".ljust(names), "dim"), *(Text(title, "dim") for title in ("state", "slots", "done"))
    )
    for name, word, style, marks, done in rows:
        grid.add_row(ending(name, names), Text(word, style), marks, done)
    body: list[RenderableType] = [grid]
    if len(ordered) > len(shown):
        body.append(Text(f"… and {len(ordered) - len(shown):,} more", "dim"))
    if not ordered:
        body = [Text("no agent has registered yet", "dim")]
    return _panel(Group(*body), f"Agents ({len(ordered):,})"), width


def slots(used: int, total: int) -> Text:
    """Occupied and free slots, one mark each while they fit."""
    if total > 8:
        return Text(f"{used}/{total}")
    used = min(used, total)
    return Text.assemble(("■" * used, "cyan"), ("□" * (total - used), "bright_black"))


def _directives(scene: Scene, width: int, room: int) -> Panel:
    latest = list(scene.figures.directives)[-room:] if room > 0 else []
    lines = [_directive(directive, width) for directive in reversed(latest)]
    body: RenderableType = Group(*lines) if lines else Text("none yet", "dim")
    return _panel(body, f"Directives ({scene.figures.issued_total:,})")


def _directive(directive: Mapping[str, object], width: int) -> Text:
    """Who is told what, the time and an assignment's name only where there is room for them."""
    kind = str(directive.get("type"))
    issued = directive.get("issued_at")
    moment = Text(clock(round(issued * 1000))[-12:] if isinstance(issued, int | float) else "", "dim")
    named = Text(f"{kind:11}", STYLES.get(kind, ""))
    attempt = directive.get("attempt")
    again = f"  (attempt {attempt})" if isinstance(attempt, int) and attempt > 1 else ""
    agent = str(directive.get("agent_id"))
    task = str(directive.get("task_id") or directive.get("directive_id"))
    what = shortened(f"{agent} ← {task}", 120)
    half = max(1, (width - 3) // 2)
    short = what if len(what) <= width else f"{ending(agent, half)} ← {ending(task, half)}"
    last = [Text(short)] if kind == "assign_task" else [Text.assemble(named, f" {ending(task, half)}")]
    variants = [
        Text.assemble(moment, "  ", named, "  ", what + again),
        Text.assemble(moment[:8], "  ", named, "  ", what + again),
        Text.assemble(named, "  ", what + again),
        *last,
    ]
    return first_that_fits(variants, width)


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
    shown = [
        Text.assemble((clock(at), "dim"), "  ", text, no_wrap=True, overflow="ellipsis") for at, text in lines
    ]
    body: RenderableType = Group(*shown) if shown else Text("none", "dim")
    return _panel(body, f"Alerts ({scene.figures.alert_total:,})")


def _hints(scene: Scene, width: int, room: int) -> list[Text]:
    """As many hints as there are lines for, each one whole."""
    lines: list[Text] = []
    for hint in beside_or_below(scene.hints, max(1, width)):
        if len(lines) + len(hint) > room:
            break
        lines += hint
    return lines
