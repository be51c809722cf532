"""How the command line looks: streams, colours, tables, times and numbers. No command lives here.

Results go to standard output, everything said about them to standard error, so that pipes stay clean. Colours
and widths follow the terminal; ``NO_COLOR`` is honoured.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

WIDE = 100_000
"""Width of a console that no terminal limits: a line stays a line in a pipe or a file."""

WAITS_IN_SILENCE = 2.0
"""Seconds after which a command says what it waits for."""

STYLES = {
    # agents
    "active": "green",
    "idle": "green",
    "busy": "cyan",
    "draining": "yellow",
    "cordoned": "yellow",
    "tripped": "bold yellow",
    "probation": "yellow",
    "throttled": "yellow",
    "loaded": "yellow",
    "suspected": "bold yellow",
    "offline": "red",
    "error": "bold red",
    "lost": "bold red",
    "deregistered": "dim",
    # tasks
    "pending": "yellow",
    "assigned": "blue",
    "running": "cyan",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "magenta",
    "forming": "yellow",
    "degraded": "bold yellow",
    # records
    "assign_task": "cyan",
    "withdraw_task": "yellow",
    "join_coalition": "blue",
    "leave_coalition": "yellow",
    "task_completed": "green",
    "task_failed": "bold red",
    "task_cancelled": "magenta",
    "task_refused": "bold red",
    "clock_ticked": "dim",
    "plan_proposed": "magenta",
    "agent_lost": "bold red",
    "agent_suspected": "bold yellow",
    "agent_recovered": "green",
    "dead letter": "red",
}
"""Colour of each word of the domain, the same in every command."""


@cache
def out() -> Console:
    """Standard output. Without a terminal lines are never wrapped."""
    return _console(stderr=False)


@cache
def err() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class UntilNobodyReads(Console):
        def on_broken_pipe(self) -> None:
            _nobody_reads()

    stream = sys.stderr if stderr else sys.stdout
    return UntilNobodyReads(stderr=stderr, highlight=False, width=None if stream.isatty() else WIDE)


def _nobody_reads() -> NoReturn:
    """End well: whoever read the pipe, such as ``head``, has seen enough."""
    # Else the interpreter tries to write what is left when it ends, and complains.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def note(text: str) -> None:
    """Say something about the result, without being part of it."""
    err().print(text, style="dim", markup=False)


@contextmanager
def waiting_for_kafka(address: str) -> Iterator[Callable[[], None]]:
    """Say after a while whose answer is waited for; whoever gets one before the end calls what this yields."""
    from threading import Timer

    timer = Timer(WAITS_IN_SILENCE, note, [f"waiting for Kafka at {address} …"])
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def print_error(message: str) -> None:
    """``error: …`` on standard error; what to do next is part of the message."""
    from rich.text import Text

    err().print(Text.assemble(("error: ", "bold red"), message))


def print_json(value: object) -> None:
    """One JSON document: indented for people, one line in a pipe."""
    import orjson

    _write_line(orjson.dumps(value, option=orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0))


def print_json_line(value: object) -> None:
    """One line of JSON, out at once, so that whoever reads the pipe sees it now."""
    import orjson

    _write_line(orjson.dumps(value))


def _write_line(raw: bytes) -> None:
    try:
        sys.stdout.write(raw.decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()


def table(columns: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[RenderableType]]) -> Table:
    """A plain table; a column given as ``(name, "right")`` holds numbers."""
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        name, justify = (column, "left") if isinstance(column, str) else column
        drawn.add_column(
            name,
            justify="right" if justify == "right" else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        drawn.add_row(*row)
    return drawn


def word(text: str) -> str:
    """A word of the domain in its colour, as rich markup."""
    style = STYLES.get(text)
    return f"[{style}]{text}[/]" if style else text


def duration(seconds: float | None) -> str:
    """A length of time, as short as it stays honest: ``12 ms``, ``3.4 s``, ``2 min 05 s``, ``3 h 10 min``."""
    if seconds is None:
        return "–"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def clock(epoch_ms: int, now: float | None = None) -> str:
    """A moment in local time with milliseconds; the date only where it is not today's."""
    moment = time.localtime(epoch_ms // 1000)
    today = time.localtime(time.time() if now is None else now)
    shape = "%H:%M:%S" if moment[:3] == today[:3] else "%Y-%m-%d %H:%M:%S"
    return f"{time.strftime(shape, moment)}.{epoch_ms % 1000:03d}"


def compact(value: object) -> str:
    """A JSON value on one line, without spaces."""
    import orjson

    return orjson.dumps(value).decode()


def shortened(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, control characters made visible."""
    printable = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: width + 1])
    return printable if len(printable) <= width else printable[: width - 1] + "…"
