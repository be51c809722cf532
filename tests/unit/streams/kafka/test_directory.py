"""Whose a data directory is, and whether it is whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.disk import DiskFull
from streams.kafka.directory import DataDirectory
from streams.kafka.errors import DataDirectoryDamaged, DataDirectoryInUse, DataDirectoryRefused

ADDRESS = "127.0.0.1:9092"


def formatter(directory: DataDirectory) -> Callable[[str], None]:
    """What Kafka's formatting tool does, as far as the directory looks at it."""

    def format_storage(cluster_id: str) -> None:
        (directory.data / "__cluster_metadata-0").mkdir(parents=True)
        (directory.data / "meta.properties").write_text(f"version=1\ncluster.id={cluster_id}\n")

    return format_storage


def refuse(_cluster_id: str) -> None:
    raise AssertionError("a formatted directory must never be formatted again")


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A directory that a broker has used."""
    used = DataDirectory(tmp_path / "kafka")
    os.close(used.lock(ADDRESS))
    used.ensure_formatted(formatter(used))
    return used


def cluster_id(directory: DataDirectory) -> str:
    return str(json.loads((directory.path / "broker.json").read_text())["cluster_id"])


def test_a_directory_is_formatted_once_and_keeps_its_cluster_id(directory: DataDirectory) -> None:
    identity = cluster_id(directory)
    DataDirectory(directory.path).ensure_formatted(refuse)
    assert cluster_id(directory) == identity


def test_an_interrupted_formatting_is_done_again_for_the_same_cluster(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "kafka")
    os.close(directory.lock(ADDRESS))

    def die_halfway(_cluster_id: str) -> None:
        directory.data.mkdir()
        (directory.data / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        directory.ensure_formatted(die_halfway)
    identity = cluster_id(directory)
    directory.ensure_formatted(formatter(directory))
    assert cluster_id(directory) == identity
    assert not (directory.data / "half").exists()


def test_a_directory_with_strange_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataDirectoryRefused, match=r"thesis\.txt"):
        DataDirectory(tmp_path).lock(ADDRESS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryRefused, match="File exists"):
        DataDirectory(tmp_path / "file").lock(ADDRESS)


def test_a_full_disk_is_no_fault_of_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for call in ("pwrite", "open"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, no_space)
            with pytest.raises(DiskFull, match=f"no space left on {tmp_path / 'kafka'}"):
                DataDirectory(tmp_path / "kafka").lock(ADDRESS)
    os.close(DataDirectory(tmp_path / "kafka").lock(ADDRESS))


def test_a_held_directory_names_its_holder(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path / "kafka").lock(ADDRESS)
    with pytest.raises(DataDirectoryInUse) as failure:
        DataDirectory(tmp_path / "kafka").lock("127.0.0.1:1")
    assert (failure.value.bootstrap, failure.value.pid) == (ADDRESS, os.getpid())
    os.close(first)
    os.close(DataDirectory(tmp_path / "kafka").lock(ADDRESS))


def test_the_claim_of_a_dead_starter_is_waited_for(tmp_path: Path) -> None:
    """As after kill -9 of a starter: its broker holds the directory a little longer than it lives itself."""
    code = (
        "import subprocess, sys, pathlib; from streams.kafka.directory import DataDirectory\n"
        f"lock = DataDirectory(pathlib.Path({str(tmp_path / 'kafka')!r})).lock('127.0.0.1:1')\n"
        "subprocess.Popen(['sleep', '1'], pass_fds=[lock])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    started = time.monotonic()
    os.close(DataDirectory(tmp_path / "kafka").lock(ADDRESS))
    assert time.monotonic() - started < 10


def lose_meta_properties(directory: DataDirectory) -> None:
    (directory.data / "meta.properties").unlink()


def garble_meta_properties(directory: DataDirectory) -> None:
    (directory.data / "meta.properties").write_bytes(b"\xff\xfe\x00")


def swap_the_cluster(directory: DataDirectory) -> None:
    (directory.data / "meta.properties").write_text("version=1\ncluster.id=another\n")


def lose_the_metadata(directory: DataDirectory) -> None:
    (directory.data / "__cluster_metadata-0").rmdir()


def cut_the_marker(directory: DataDirectory) -> None:
    (directory.path / "broker.json").write_text('{"cluster_id": "ab')


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lose_meta_properties, "meta.properties is missing"),
        (garble_meta_properties, "meta.properties is unreadable"),
        (swap_the_cluster, "cluster id another"),
        (lose_the_metadata, "__cluster_metadata-0 is missing"),
        (cut_the_marker, "broker.json is unreadable"),
    ],
)
def test_damage_is_named_and_nothing_is_formatted_over_it(
    directory: DataDirectory, damage: Callable[[DataDirectory], None], named: str
) -> None:
    damage(directory)
    with pytest.raises(DataDirectoryDamaged, match=named) as failure:
        directory.ensure_formatted(refuse)
    assert f"mv {directory.path} {directory.path}.damaged" in str(failure.value)


def test_the_last_log_is_kept_when_a_new_one_begins(directory: DataDirectory) -> None:
    for words in (b"first", b"second"):
        descriptor = directory.begin_log()
        os.write(descriptor, words)
        os.close(descriptor)
    assert directory.log.read_text() == "second"
    assert directory.log.with_name("kafka.log.previous").read_text() == "first"
