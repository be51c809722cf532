"""Jars arrive whole or not at all, and only once."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from streams.kafka.errors import JarsUnavailable
from streams.kafka.jars import Jar, cache_directory, ensure_jars, read_lock
from tests.unit.streams.kafka.conftest import Repository

# jgo leaves a response that it cannot use to the garbage collector; the fixture collects it before the next test.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

QUIET = Console(quiet=True)


def fetch(cache: Path, repository: Repository, jars: Sequence[Jar]) -> list[Path]:
    return ensure_jars(cache, repository=repository.address, jars=jars, console=QUIET)


def jars_asked_for(repository: Repository) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in repository.requests if path.endswith(".jar"))


def test_missing_jars_are_downloaded_once_and_then_come_from_the_cache(
    tmp_path: Path, repository: Repository
) -> None:
    jars = [repository.add("a", b"aaa" * 5000), repository.add("b", b"bbb")]
    first = fetch(tmp_path / "cache", repository, jars)
    assert [path.read_bytes() for path in first] == [b"aaa" * 5000, b"bbb"]
    assert jars_asked_for(repository) == ["a-1.0.jar", "b-1.0.jar"]
    assert fetch(tmp_path / "cache", repository, jars) == first
    assert jars_asked_for(repository) == ["a-1.0.jar", "b-1.0.jar"]


@pytest.mark.parametrize("damaged", [b"aaa", b"", b"aab" * 100], ids=["half", "empty", "same size"])
def test_a_damaged_jar_is_seen_and_downloaded_again_without_the_others(
    tmp_path: Path, repository: Repository, damaged: bytes
) -> None:
    jars = [repository.add("a", b"aaa" * 100), repository.add("b", b"bbb")]
    first, _ = fetch(tmp_path, repository, jars)
    repository.requests.clear()
    first.write_bytes(damaged)
    fetch(tmp_path, repository, jars)
    assert first.read_bytes() == b"aaa" * 100
    assert jars_asked_for(repository) == ["a-1.0.jar"]


def test_a_download_that_breaks_off_leaves_nothing_behind_and_says_which_jar_it_was(
    tmp_path: Path, repository: Repository
) -> None:
    jar = repository.add("a", b"aaa" * 50_000)
    repository.cut_after = 70_000
    with pytest.raises(JarsUnavailable) as failure:
        fetch(tmp_path, repository, [jar])
    assert failure.value.jar == "org.example:a:1.0"
    assert {entry.name for entry in tmp_path.iterdir()} == {".lock"}
    repository.cut_after = None
    [path] = fetch(tmp_path, repository, [jar])
    assert path.read_bytes() == b"aaa" * 50_000


def test_a_jar_with_other_content_than_the_pinned_is_refused(tmp_path: Path, repository: Repository) -> None:
    jar = repository.add("a", b"pinned")
    repository.add("a", b"forged")
    with pytest.raises(JarsUnavailable, match="not the expected one"):
        fetch(tmp_path, repository, [jar])
    assert not jar.path(tmp_path).exists()


def test_a_repository_without_the_jar_is_named(tmp_path: Path, repository: Repository) -> None:
    with pytest.raises(JarsUnavailable, match="not found") as failure:
        fetch(tmp_path, repository, [Jar("org.example", "absent", "1.0", 1, "0" * 64)])
    assert failure.value.repository == repository.address


def test_without_a_network_the_error_says_what_the_first_start_needs(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = Repository(address=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(JarsUnavailable) as failure:
            fetch(tmp_path, nowhere, [nowhere.add("a", b"a")])
    message = str(failure.value)
    assert "Connection refused" in message
    for advice in ("needs the network once", "COORDINATOR_MAVEN_REPOSITORY", "KAFKA_BOOTSTRAP_SERVERS"):
        assert advice in message
    assert "\n" not in message


def test_what_did_arrive_is_kept_when_another_jar_fails(tmp_path: Path, repository: Repository) -> None:
    whole = repository.add("a", b"aaa")
    with pytest.raises(JarsUnavailable):
        fetch(tmp_path, repository, [whole, Jar("org.example", "absent", "1.0", 1, "0" * 64)])
    assert whole.is_whole(whole.path(tmp_path))


def test_processes_that_start_together_download_each_jar_once(tmp_path: Path, repository: Repository) -> None:
    jars = [repository.add(name, name.encode() * 100_000) for name in "abcd"]
    threads = [threading.Thread(target=fetch, args=(tmp_path, repository, jars)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert jars_asked_for(repository) == [f"{name}-1.0.jar" for name in "abcd"]
    assert all(jar.is_whole(jar.path(tmp_path)) for jar in jars)


def test_a_download_shows_how_far_it_is(tmp_path: Path, repository: Repository) -> None:
    screen = io.StringIO()
    jar = repository.add("a", b"a" * 3_000_000)
    console = Console(file=screen, force_terminal=True, width=120)
    ensure_jars(tmp_path, repository=repository.address, jars=[jar], console=console)
    assert "Downloading Kafka" in screen.getvalue()
    assert "3.0/3.0 MB" in screen.getvalue()


def test_every_pinned_jar_has_a_place_of_its_own_and_a_hash() -> None:
    jars = read_lock()
    assert len({jar.path(Path()) for jar in jars}) == len(jars)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    versions = {jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert len(versions) == 1


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COORDINATOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "coordinator" / "kafka"
    monkeypatch.setenv("COORDINATOR_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert cache_directory() == tmp_path / "elsewhere" / "kafka"
