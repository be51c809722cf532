"""A full disk is told as what it is, and no line of a log that finds no space tears the terminal."""

from __future__ import annotations

import errno
import logging
from collections import namedtuple
from pathlib import Path

import pytest

from streams import disk
from streams.disk import DiskFull, LogFile, LogStream, free_bytes, is_full, told_if_full


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(1_234))


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_write_without_space_names_the_place_what_is_free_and_what_to_do(
    tmp_path: Path, number: int
) -> None:
    with pytest.raises(DiskFull) as failure, told_if_full(tmp_path):
        raise OSError(number, "no room")
    assert f"no space left on {tmp_path}, 1,234 bytes free. Free some and start again" in str(failure.value)
    assert isinstance(failure.value.__cause__, OSError)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), told_if_full(tmp_path):
        raise PermissionError(errno.EACCES, "not yours")


@pytest.mark.usefixtures("full")
def test_the_consequence_comes_first(tmp_path: Path) -> None:
    assert str(DiskFull(tmp_path, "Kafka ended")).startswith(f"Kafka ended: no space left on {tmp_path}")
    assert is_full(tmp_path)


def test_space_can_be_asked_for_where_nothing_is_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_line_that_finds_no_space_is_lost_without_a_word(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = LogFile("/dev/full") if kind == "file" else LogStream(Path("/dev/full").open("w"))  # noqa: SIM115 - closed below
    handler.emit(logging.LogRecord("any", logging.ERROR, __file__, 1, "lost", (), None))
    assert capsys.readouterr().err == ""
    with pytest.raises(OSError, match="No space left"):  # the buffer still holds it
        handler.stream.close()


def test_a_line_that_fails_otherwise_is_still_reported(capsys: pytest.CaptureFixture[str]) -> None:
    LogStream(None).handle(logging.LogRecord("any", logging.ERROR, __file__, 1, "%d", ("no number",), None))
    assert "Logging error" in capsys.readouterr().err
