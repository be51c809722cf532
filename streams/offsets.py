"""Where to start and stop reading a topic: kcat's offset grammar, as data.

``beginning``, ``end``, ``<n>`` (this offset), ``-<n>`` (so many records before the end), ``s@<ms>`` (first record
appended at or after this epoch time) and ``e@<ms>`` (stop before this time). Reading itself is in
``streams.reader``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streams.errors import ConfigurationError

_WORD = re.compile(r"(?P<time>[se])@(?P<ms>\d{1,16})|(?P<offset>\d{1,18})|-(?P<back>\d{1,18})")


@dataclass(frozen=True, slots=True)
class Start:
    """The first record wanted, in each partition."""

    kind: Literal["beginning", "end", "offset", "back", "time"]
    number: int = 0
    """The offset, how many records before the end, or epoch milliseconds; 0 for the words."""

    def offset(self, beginning: int, end: int, at_time: int | None) -> int:
        """The offset to seek to in a partition that now holds ``[beginning, end)``.

        ``at_time`` is what the broker says to the start time: the first offset at or after it, if there is one.
        """
        match self.kind:
            case "beginning":
                wanted = beginning
            case "end":
                wanted = end
            case "offset":
                wanted = self.number
            case "back":
                wanted = end - self.number
            case "time":
                wanted = end if at_time is None else at_time
        return max(beginning, min(wanted, end))


@dataclass(frozen=True, slots=True)
class Span:
    """What part of a topic to read."""

    start: Start
    until: int | None = None
    """Epoch milliseconds: records appended at or after this are left out."""


BEGINNING = Span(Start("beginning"))
END = Span(Start("end"))


def parse_span(words: Sequence[str], default: Start) -> Span:
    """The span that ``-o`` options stand for; two may be given, one to start and one to stop.

    Raises:
        ConfigurationError: naming the word that is no offset, and what one looks like.
    """
    start: Start | None = None
    until: int | None = None
    for word in words:
        found = _WORD.fullmatch(word)
        if found and found["time"] == "e":
            if until is not None:
                raise ConfigurationError(f"-o {word}: the time to stop is given twice")
            until = int(found["ms"])
            continue
        if start is not None:
            raise ConfigurationError(f"-o {word}: the place to start is given twice")
        if word in ("beginning", "end"):
            start = Start("beginning" if word == "beginning" else "end")
        elif found and found["time"]:
            start = Start("time", int(found["ms"]))
        elif found and found["offset"]:
            start = Start("offset", int(found["offset"]))
        elif found and found["back"]:
            start = Start("back", int(found["back"]))
        elif word == "stored":
            raise ConfigurationError(
                "-o stored: nothing is stored, for reading here joins no consumer group; give an offset or time"
            )
        else:
            raise ConfigurationError(
                f"-o {word}: no offset; give beginning, end, <n>, -<n>, s@<epoch ms> or e@<epoch ms>"
            )
    return Span(start or (Start("beginning") if until is not None else default), until)
