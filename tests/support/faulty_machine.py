"""A machine with a full, slow or read-only disk, or a clock that jumps, for processes that tests start.

The faults are in ``faulty_machine.c``, compiled on demand and preloaded into the process; a mapped file lets the
test change them while it runs.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")
_FIELDS = (
    "full",
    "room",
    "fail_per_million",
    "chance",
    "read_only",
    "write_delay_us",
    "sync_delay_us",
    "clock_ahead_ns",
    "failed",
    "delayed",
)
"""As in ``struct orders``."""


class FaultyMachine:
    """What a process sees that runs with :attr:`environment`; in good order until told otherwise.

    Args:
        directory: For the compiled library and the orders.
        disk: Disk faults strike only below this directory.
    """

    def __init__(self, directory: Path, disk: Path) -> None:
        library, orders = directory / "faulty_machine.so", directory / "orders"
        _compile(library)
        orders.write_bytes(bytes(8 * len(_FIELDS)))
        with orders.open("r+b") as file:
            self._orders = mmap.mmap(file.fileno(), 8 * len(_FIELDS))
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAULTY_MACHINE": str(orders),
            "FAULTY_DISK": str(disk),
        }

    def order(self, **fields: int) -> None:
        """Change the machine from now on; names as in ``struct orders``."""
        for name, number in fields.items():
            struct.pack_into("=q", self._orders, 8 * _FIELDS.index(name), number)

    @property
    def failed(self) -> int:
        """Operations that failed so far."""
        return self._count("failed")

    @property
    def delayed(self) -> int:
        """Operations that were made to wait so far."""
        return self._count("delayed")

    def _count(self, name: str) -> int:
        (count,) = struct.unpack_from("=q", self._orders, 8 * _FIELDS.index(name))
        return int(count)


def _compile(library: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("faulty machines need Linux and a C compiler")
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True
    )
