"""A full disk: told as what it is, whichever write met it first, and survived by what we log."""

from __future__ import annotations

import errno
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from streams.errors import StreamsError

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler

ENOUGH = 256 * 1024
"""Bytes. Where less is free, whatever ended is taken to have ended by that: its last words found no room."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of the errors that mean it."""


class DiskFull(StreamsError):
    """No space is left where something has to be written.

    Attributes:
        path: What could not be written.
        free: Bytes that are free there.
    """

    def __init__(self, path: Path, consequence: str = "") -> None:
        self.path = path
        self.free = free_bytes(path)
        what = f"{consequence}: no space left" if consequence else "no space left"
        super().__init__(
            f"{what} on {path}, {self.free:,} bytes free. Free some and start again; what was acknowledged is "
            "kept."
        )


@contextmanager
def told_if_full(path: Path) -> Iterator[None]:
    """Let a write that found no space come out as :class:`DiskFull`; all other errors stay what they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(path) from error


def is_full(path: Path) -> bool:
    """Whether there is hardly any space where ``path`` is, or would be."""
    return free_bytes(path) < ENOUGH


def free_bytes(path: Path) -> int:
    """What may be written where ``path`` is, or would be."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


class _SilentWhenFull(logging.Handler):
    """Loses lines that find no space, instead of a traceback on the terminal for each of them."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it so
        error = sys.exc_info()[1]
        if not (isinstance(error, OSError) and error.errno in FULL):
            super().handleError(record)


class LogStream(_SilentWhenFull, _StreamHandler):
    """As :class:`logging.StreamHandler`, for a stream that may be a file."""


class LogFile(_SilentWhenFull, logging.FileHandler):
    """As :class:`logging.FileHandler`."""
