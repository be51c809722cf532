"""P2 at every step: killed wherever it is, a worker leaves nothing that the next one does not make whole.

``COORDINATOR_SEED`` repeats a run; each prints its own.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal

import pytest

from streams.failpoints import FAILPOINTS
from tests.integration.engine.harness import Lab, Worker, numbered
from tests.support.failpoint_hits import hits_of

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))
SEED = int(os.environ.get("COORDINATOR_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
SHORT = 8
"""So many places, drawn anew each time, are enough for every day; the long form has them all, several times."""


async def die_at(lab: Lab, name: str, hit: int) -> None:
    """Run a worker under load until it reaches the failpoint for the so-manieth time, and dies there."""
    worker = Worker(lab, "a", INSTANCE="a", COORDINATOR_FAILPOINTS=f"{name}=kill@{hit}")
    load = asyncio.create_task(load_while_it_runs(lab, worker))
    try:
        if name.startswith("revoke"):
            await worker.running()
            other = Worker(lab, "b", INSTANCE="b")
            assert await worker.exit_status() == -signal.SIGKILL, worker.log[-3000:]
            await other.running()
            await other.stop()
        elif name.startswith("stop"):
            await worker.running()
            worker.process.terminate()
        assert await worker.exit_status() == -signal.SIGKILL, f"{name}@{hit} {worker.log[-3000:]}"
    finally:
        if worker.process.poll() is None:
            await worker.kill()
        await load
    assert f"failpoint {name}: kill" in worker.log


async def load_while_it_runs(lab: Lab, worker: Worker) -> None:
    while worker.process.poll() is None:
        await lab.produce(numbered(50, start=lab.sent), per_second=500)
        await asyncio.sleep(0.1)


@pytest.mark.timeout(3600 if LONG else 300)
async def test_a_worker_killed_at_every_step_leaves_nothing_undone(lab: Lab) -> None:
    print(f"COORDINATOR_SEED={SEED}")
    chance = random.Random(SEED)
    await lab.create_topics()
    plan = [(name, chance.randint(1, hits_of(name))) for name in FAILPOINTS]
    if LONG:
        plan = [(name, hit) for name in FAILPOINTS for hit in range(1, hits_of(name) + 1)]
        plan += [(name, chance.randint(1, 4 * hits_of(name))) for name in FAILPOINTS if hits_of(name) > 2] * 4
    chance.shuffle(plan)
    plan = plan if LONG else plan[:SHORT]
    await lab.produce(numbered(500))
    first = Worker(lab, "a", INSTANCE="a")  # some places are reached only by who finds something
    await lab.everything_is_exact(first)
    await first.kill()
    for name, hit in plan:
        await die_at(lab, name, hit)
    last = Worker(lab, "a", INSTANCE="a")
    await lab.everything_is_exact(last)
    await last.stop()
    shutil.rmtree(last.directory / "data" / "folds")
    from_changelog_alone = Worker(lab, "a", INSTANCE="a")
    await lab.everything_is_exact(from_changelog_alone)
    await from_changelog_alone.stop()


async def test_an_exception_that_nobody_expects_stops_the_worker_with_its_reason(lab: Lab) -> None:
    await lab.create_topics()
    for name in ("fold.done", "checkpoint.changelog-acked", "restore.changelog-read"):
        await lab.produce(numbered(50, start=lab.sent))
        worker = Worker(lab, "a", INSTANCE="a", COORDINATOR_FAILPOINTS=f"{name}=raise")
        assert await worker.exit_status() not in (0, None, -signal.SIGKILL)
        assert f"Injected('{name}')" in worker.log or f"Injected: {name}" in worker.log
    whole = Worker(lab, "a", INSTANCE="a")
    await lab.everything_is_exact(whole)
    await whole.stop()
