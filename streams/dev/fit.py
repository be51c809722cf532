"""Fitting text into the room that a terminal leaves: what is dropped, and where it breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from rich.text import Text

from streams.cli.console import shortened


def ending(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters; of ids the end tells them apart."""
    whole = shortened(text, 200)
    return whole if len(whole) <= width else "…" + whole[len(whole) - max(0, width - 1) :]


def first_that_fits(variants: Sequence[Text], width: int) -> Text:
    """The first of the variants, the fullest first, that fits; else the last one, cut."""
    return next((text for text in variants if text.cell_len <= width), variants[-1])


def packed(items: Iterable[Text], width: int, gap: str = "  ") -> list[Text]:
    """Items in as few lines as they fit in, none broken."""
    lines: list[Text] = []
    for item in items:
        if lines and lines[-1].cell_len + len(gap) + item.cell_len <= width:
            lines[-1].append(gap).append_text(item)
        else:
            lines.append(item.copy())
    return lines


def beside_or_below(pairs: Sequence[tuple[str, str]], width: int) -> list[list[Text]]:
    """A command and what it shows, as lines for each pair: in two columns, or one below the other; whole."""
    widest = max((len(command) for command, _ in pairs), default=0)
    if all(widest + 3 + len(meaning) <= width for _, meaning in pairs):
        return [[_pair(command.ljust(widest), meaning)] for command, meaning in pairs]
    shown: list[list[Text]] = []
    for command, meaning in pairs:
        if len(command) + 3 + len(meaning) <= width:
            shown.append([_pair(command, meaning)])
            continue
        pieces = [command[start : start + width] for start in range(0, len(command), width)]
        words = wrap(meaning, max(1, width - 3))
        shown.append(
            [Text(piece, "cyan") for piece in pieces] + [Text(f"   {line}", "dim") for line in words]
        )
    return shown


def _pair(command: str, meaning: str) -> Text:
    return Text.assemble((command, "cyan"), "   ", (meaning, "dim"))
