"""Builds the Kafka Streams row with Maven, where a JDK and Maven are at hand."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.environments import DIRECTORY, EnvironmentFailed

PROJECT = Path(__file__).with_name("kafka_streams")
NAME = "kafka-streams"


def command() -> Sequence[str]:
    """How to run it; builds it if its sources are newer.

    Raises:
        EnvironmentFailed: if it cannot be built here.
    """
    maven = shutil.which("mvn")
    if maven is None or shutil.which("javac") is None:
        raise EnvironmentFailed(NAME, "Maven and a JDK are needed for it, and not on the PATH")
    target = (DIRECTORY / NAME).absolute()
    marker = target / "classpath.txt"
    sources = [PROJECT / "pom.xml", *PROJECT.rglob("*.java")]
    if not marker.exists() or marker.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        _build(maven, target, marker)
    return ["java", "-Xmx1g", "-cp", f"{target / 'classes'}:{marker.read_text()}", "bench.Row"]


def _build(maven: str, target: Path, marker: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    pom = ["-q", "-B", "-f", str(PROJECT / "pom.xml"), f"-DbuildDirectory={target}"]
    jars = target / "jars"
    for goal in (
        ["compile"],
        ["dependency:copy-dependencies", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"],
    ):
        done = subprocess.run([maven, *pom, *goal], capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentFailed(NAME, done.stdout + done.stderr)
    marker.write_text(f"{jars}/*")
