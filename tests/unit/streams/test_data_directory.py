"""One directory, one worker, one name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streams.data_directory import DataDirectory
from streams.errors import ConfigurationError
from tests.support.faulty_machine import FaultyMachine

ROOT = Path(__file__).parents[3]


def test_a_restarted_worker_keeps_its_name(tmp_path: Path) -> None:
    assert DataDirectory(tmp_path / "a").instance_id == DataDirectory(tmp_path / "a").instance_id
    assert DataDirectory(tmp_path / "a").instance_id != DataDirectory(tmp_path / "b").instance_id


def test_a_renamed_directory_keeps_its_name_and_a_copied_one_gets_another(tmp_path: Path) -> None:
    name = DataDirectory(tmp_path / "a").instance_id
    (tmp_path / "a").rename(tmp_path / "b")
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    assert DataDirectory(tmp_path / "b").instance_id == name
    assert DataDirectory(tmp_path / "c").instance_id != name


def test_an_empty_file_where_the_name_should_be_gives_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("")
    assert DataDirectory(tmp_path).instance_id.startswith("worker-")


def test_a_second_claim_names_the_process_that_has_it(tmp_path: Path) -> None:
    first, second = DataDirectory(tmp_path), DataDirectory(tmp_path)
    first.claim()
    with pytest.raises(ConfigurationError, match=rf"process {os.getpid()}\).*--data-dir"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_a_directory_that_cannot_be_made_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/data.*Not a directory.*COORDINATOR_DATA_DIR"):
        DataDirectory(tmp_path / "file" / "data")


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [("read_only", "Read-only file system"), ("full", "No space left on device")],
    ids=["read-only", "full"],
)
def test_a_disk_that_cannot_be_written_says_so_and_what_to_do(
    tmp_path: Path, fault: str, reason: str, used: bool
) -> None:
    directory = tmp_path / "data"
    if used:
        DataDirectory(directory)
    machine = FaultyMachine(tmp_path, directory)
    machine.order(**{fault: 1})
    program = f"""
from pathlib import Path
from streams.data_directory import DataDirectory
DataDirectory(Path({str(directory)!r})).claim()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **machine.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    words = ran.stderr.splitlines()[-1]
    assert words.startswith("streams.errors.ConfigurationError: ")
    assert f"the data directory {directory} cannot be used: {reason}; make it writable" in words
