"""The peers' own Python environments, made when they are first wanted. Their dependencies do not fit together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DIRECTORY = Path(os.environ.get("COORDINATOR_BENCH_DIR", ".coordinator/bench"))
"""Environments and built peers; kept between runs."""


class EnvironmentFailed(OSError):
    """A peer's packages could not be installed.

    Attributes:
        name: Of the environment.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the environment {name} could not be made: {reason.strip()[-500:]}")
        self.name = name


def python_of(name: str, *packages: str) -> str:
    """The interpreter of the environment with these packages, at just these versions.

    Raises:
        EnvironmentFailed: if it cannot be made.
    """
    directory = (DIRECTORY / name).absolute()
    python = directory / "bin" / "python"
    marker = directory / "packages.txt"
    wanted = "\n".join(packages)
    if marker.exists() and marker.read_text() == wanted:
        return str(python)
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(directory)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentFailed(name, done.stderr)
    marker.write_text(wanted)
    return str(python)


def answer_of(name: str, package: str, program: str, question: Path) -> str:
    """What a program of ``bench/rows`` prints about a file, run in the environment of this name.

    Raises:
        OSError: if the environment cannot be made, or the program fails.
    """
    command = [python_of(name, package), str(Path(__file__).parent / "rows" / program), str(question)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{program} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
