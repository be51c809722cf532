"""Kafka's jars: which ones, whether they are whole, and how they get here once.

``jars.lock`` beside this file names every jar with its size and SHA-256, so a start resolves nothing, runs what
was tested, and sees a half-written or damaged file. ``lock.py`` writes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jgo.constants import MAVEN_CENTRAL_URL
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from streams.disk import FULL, told_if_full
from streams.kafka.errors import JarsUnavailable

LOCK_FILE = Path(__file__).with_name("jars.lock")
PARALLEL_DOWNLOADS = 6


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of ``jars.lock``."""

    group: str
    name: str
    version: str
    size: int
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.name}:{self.version}"

    def path(self, cache: Path) -> Path:
        return cache / f"{self.name}-{self.version}.jar"

    def is_whole(self, file: Path) -> bool:
        try:
            if file.stat().st_size != self.size:
                return False
            with file.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


def read_lock(file: Path = LOCK_FILE) -> tuple[Jar, ...]:
    jars = []
    for line in file.read_text().splitlines():
        coordinate, size, sha256 = line.split()
        group, name, version = coordinate.split(":")
        jars.append(Jar(group, name, version, int(size), sha256))
    return tuple(jars)


KAFKA_VERSION = next(jar.version for jar in read_lock() if jar.name == "kafka_2.13")


def cache_directory() -> Path:
    """Where jars are kept between runs: ``COORDINATOR_CACHE_DIR``, else the user's cache directory."""
    if chosen := os.environ.get("COORDINATOR_CACHE_DIR"):
        return Path(chosen, "kafka")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "coordinator", "kafka")


def ensure_jars(
    cache: Path | None = None,
    *,
    repository: str | None = None,
    jars: Sequence[Jar] | None = None,
    console: Console | None = None,
) -> list[Path]:
    """Paths of all jars, whole, downloading with a progress bar what is missing or damaged.

    Checking takes about 0.1 s. Any number of processes may call it at once: one downloads, the others wait.

    Raises:
        JarsUnavailable: A download failed. Whole jars stay, so that the next call goes on from there.
        DiskFull: There is no space for them.
    """
    cache = cache or cache_directory()
    jars = jars if jars is not None else read_lock()
    repository = repository or os.environ.get("COORDINATOR_MAVEN_REPOSITORY") or MAVEN_CENTRAL_URL
    if _missing(jars, cache):
        with told_if_full(cache):
            _bring(jars, cache, repository, console or Console(stderr=True))
    return [jar.path(cache) for jar in jars]


def _bring(jars: Sequence[Jar], cache: Path, repository: str, console: Console) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with _exclusive(cache / ".lock"):
        # Asked again under the lock: another process may have brought them while this one waited.
        if missing := _missing(jars, cache):
            _download(missing, cache, repository, console)


def _missing(jars: Sequence[Jar], cache: Path) -> list[Jar]:
    return [jar for jar in jars if not jar.is_whole(jar.path(cache))]


@contextlib.contextmanager
def _exclusive(lock: Path) -> Iterator[None]:
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _download(jars: Sequence[Jar], cache: Path, repository: str, console: Console) -> None:
    columns = (
        TextColumn("Downloading Kafka {task.fields[version]}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    # The temporary directory is inside the cache so that a finished jar moves into its place atomically: a name
    # in the cache is always a whole file, whenever the process is killed.
    with (
        Progress(*columns, console=console) as progress,
        tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as unfinished,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
    ):
        total = sum(jar.size for jar in jars)
        bar = progress.add_task("", total=total, version=KAFKA_VERSION)
        fetch = _fetcher(Path(unfinished), repository, lambda count: progress.advance(bar, count))
        running = [(jar, pool.submit(fetch, jar)) for jar in jars]
        for jar, download in running:
            try:
                file = download.result()
                if not jar.is_whole(file):
                    raise OSError(
                        f"its content is not the expected one ({file.stat().st_size} of {jar.size} bytes)"
                    )
                file.replace(jar.path(cache))
            # requests' errors are OSErrors; jgo reports a jar that the repository does not have as RuntimeError.
            except (OSError, RuntimeError) as error:
                pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
                raise JarsUnavailable(jar.coordinate, repository, cache, _brief(error)) from error


def _fetcher(target: Path, repository: str, advance: Callable[[int], None]) -> Callable[[Jar], Path]:
    # Imported here: jgo and requests take longer than everything else in a start, and are needed only once.
    from jgo.maven import MavenContext, PythonResolver

    @contextlib.contextmanager
    def progress(_filename: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance

    resolver = PythonResolver(progress_callback=progress)
    context = MavenContext(resolver, repo_cache=target, remote_repos={"jars": repository}, timeout=30)

    def fetch(jar: Jar) -> Path:
        return Path(context.project(jar.group, jar.name).at_version(jar.version).artifact().resolve())

    return fetch


def _brief(error: Exception) -> str:
    """One line of an error; requests nests the cause of a refused connection in five layers of text."""
    innermost: BaseException = error
    while (cause := innermost.__cause__ or innermost.__context__) is not None:
        innermost = cause
    return (str(innermost) or type(innermost).__name__).splitlines()[0]
