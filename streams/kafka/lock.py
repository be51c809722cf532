"""Write ``jars.lock`` anew: ``python -m streams.kafka.lock VERSION``, for whoever updates Kafka.

Not used at run time. Downloads every jar once, to hash it.
"""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo

from streams.kafka.jars import LOCK_FILE, PARALLEL_DOWNLOADS


def main(version: str) -> None:
    artifacts = jgo.resolve(f"org.apache.kafka:kafka_2.13:{version}")
    # The binding through which Kafka logs is not a dependency of the jar, only part of Kafka's distribution. It is
    # added afterwards: resolved in one go, its parent's managed versions would replace some of Kafka's own.
    log4j = next(artifact for artifact in artifacts if artifact.artifactId == "log4j-core")
    artifacts.append(
        log4j.context.project(log4j.groupId, "log4j-slf4j-impl").at_version(log4j.version).artifact()
    )
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        files = pool.map(lambda artifact: Path(artifact.resolve()).read_bytes(), artifacts)
    lines = [
        f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {len(content)} "
        f"{hashlib.sha256(content).hexdigest()}\n"
        for artifact, content in zip(artifacts, files, strict=True)
    ]
    LOCK_FILE.write_text("".join(sorted(lines)))


if __name__ == "__main__":
    main(sys.argv[1])
