"""``make chaos``: a whole coordinator on a real Kafka, under load, and everything that can be done to its workers.

Settings: ``CHAOS_SEED`` repeats a schedule, ``CHAOS_KILLS`` says how many kills it has, ``CHAOS_DIRECTORY`` keeps
the logs, gauges and stores of a run that was clean, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.audit.findings import Verdict
from streams.audit.history import KafkaHistory
from streams.audit.verify import Verification
from streams.kafka import LocalKafka
from tests.chaos.checks import CHECKS, Recorded, Violations
from tests.chaos.gauges import Place, Recorder, positions
from tests.chaos.schedule import Fault, schedule
from tests.crash.history import History
from tests.crash.load import Load
from tests.crash.worker_process import WorkerProcess

PARTITIONS = {"events": 4, "fleet": 1}
SESSION_TIMEOUT = 6
MOST_WORKERS = 3
AGENTS = 8
TASKS_PER_SECOND = 15.0
CATCH_UP = 90.0
"""Seconds within which everything that is in the log must have been folded, once workers are left alone."""
DEATH = 30.0
"""Seconds within which a failpoint must have been reached."""

Say = Callable[[str], None]

OBJECTIONS = (Verdict.DIVERGENT, Verdict.UNVERIFIABLE)


class Broken(Exception):
    """The run cannot go on: no progress, or a worker that ended by itself."""


@dataclass(slots=True)
class Outcome:
    """What a run did and found."""

    seed: int
    done: Counter[str] = field(default_factory=Counter)
    """Faults by kind; ``failpoint`` are those that were reached."""
    unreached: list[str] = field(default_factory=list)
    violations: dict[str, Violations] = field(default_factory=dict)
    slowest: float = 0.0
    """Seconds that catching up took at most."""
    records: int = 0
    tasks: int = 0

    @property
    def kills(self) -> int:
        return self.done["kill"] + self.done["failpoint"]

    @property
    def clean(self) -> bool:
        return not any(self.violations.values())


class Chaos:
    """One run.

    Args:
        bootstrap: Kafka.
        prefix: Of topics that nobody else uses.
        directory: For data, logs and gauges.
        seed: For the load.
        say: Takes a line for people.
    """

    def __init__(self, bootstrap: str, prefix: str, directory: Path, seed: int, say: Say) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._say = say
        settings = {
            "COORDINATOR_SESSION_TIMEOUT": str(SESSION_TIMEOUT),
            "COORDINATOR_CHECKPOINT_INTERVAL": "0.5",
        }
        bounded = {**settings, "COORDINATOR_CACHE_SIZE": str(AGENTS // 2)}
        # One more than ever belong to the load: its coming makes the others give partitions up.
        self._workers = [
            WorkerProcess(bootstrap, prefix, directory / f"worker-{number}", **own)
            for number, own in zip(range(MOST_WORKERS + 1), cycle((bounded, settings)), strict=False)
        ]
        self._wanted = 1
        self._load = Load(bootstrap, prefix, agents=AGENTS, seed=seed)
        self._recorder = Recorder(directory / "gauges.jsonl")
        self._outcome = Outcome(seed)

    async def run(self, faults: Sequence[Fault]) -> Outcome:
        """Do all of it, and judge what is left behind."""
        looking = asyncio.create_task(self._look())
        try:
            unread = await self._suffer(faults)
        except Broken as error:
            self._outcome.violations["progress"] = [str(error)]
        else:
            self._outcome.violations = await self._judge(unread)
        finally:
            looking.cancel()
            for worker in self._workers:
                if worker.running:
                    await asyncio.to_thread(worker.kill)
        return self._outcome

    async def _suffer(self, faults: Sequence[Fault]) -> dict[Place, int]:
        self._workers[0].start()
        await asyncio.to_thread(self._workers[0].wait_ready)
        enough = asyncio.Event()
        async with self._load as load:
            work = asyncio.create_task(load.submit_until(enough, TASKS_PER_SECOND, timeout=180))
            for number, fault in enumerate(faults, 1):
                await asyncio.sleep(fault.after)
                self._recorder.fault(str(fault))
                began = time.monotonic()
                await self._do(fault)
                took = ""
                if fault.patient:
                    await self._catch_up()
                    took = f"  whole again after {time.monotonic() - began:.1f} s"
                self._say(f"{number:4}/{len(faults)}  {self._recorder.seconds:6.0f} s  {fault}{took}")
            await self._catch_up()
            enough.set()
            self._outcome.tasks = len(await work)
        unread = await self._unread(CATCH_UP)
        for worker in self._running():
            await self._send_away(worker)
        return unread

    # -- faults -----------------------------------------------------------------------------------------------

    async def _do(self, fault: Fault) -> None:
        running = self._running()
        if len(running) != self._wanted:
            raise Broken(f"of {self._wanted} workers {len(running)} run: one has ended by itself")
        victim = running[int(fault.victim * len(running))]
        if fault.kind == "kill":
            await asyncio.to_thread(victim.kill)
            await self._start(victim, fault.patient)
        elif fault.kind == "failpoint":
            await asyncio.to_thread(victim.kill)
            if not await self._die_at(victim, fault):
                self._outcome.unreached.append(str(fault))
                self._outcome.done["failpoint"] -= 1
                await asyncio.to_thread(victim.kill)
            await self._start(victim, fault.patient)
        elif fault.kind == "nap":
            victim.signal(signal.SIGSTOP)
            await asyncio.sleep(SESSION_TIMEOUT * 1.5)
            victim.signal(signal.SIGCONT)
        elif fault.kind == "leave":
            await self._send_away(victim)
            await self._start(victim, patient=True)
        else:
            await self._become(fault.count)
        self._outcome.done[fault.kind] += 1

    async def _die_at(self, victim: WorkerProcess, fault: Fault) -> bool:
        """Let it run until it kills itself; whether it came to that."""
        victim.start(COORDINATOR_FAILPOINTS=f"{fault.failpoint}=kill@{fault.hit}")
        guest = self._workers[MOST_WORKERS]
        deadline = time.monotonic() + DEATH
        told = False
        while victim.running and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            if not told and fault.failpoint.startswith(("stop", "revoke")) and positions(victim):
                told = True
                if fault.failpoint.startswith("stop"):
                    victim.signal(signal.SIGTERM)
                else:
                    guest.start()
        died = not victim.running
        if died and victim.wait_ended(1) != -signal.SIGKILL:
            raise Broken(f"{victim.data_dir.name} ended by itself, with {fault} ordered: see its log")
        if guest.running:
            await self._start(guest, patient=True, again=False)
            await asyncio.to_thread(guest.stop)
        return died

    async def _start(self, worker: WorkerProcess, patient: bool, *, again: bool = True) -> None:
        if again:
            worker.start()
        if patient:
            await asyncio.to_thread(worker.wait_ready)

    async def _send_away(self, worker: WorkerProcess) -> None:
        await asyncio.to_thread(worker.wait_ready)  # a Python that has just started ends by SIGTERM at once
        if (status := await asyncio.to_thread(worker.stop)) != 0:
            raise Broken(f"{worker.data_dir.name} ended with {status} when told to stop: see its log")

    async def _become(self, count: int) -> None:
        for number in range(MOST_WORKERS):
            worker = self._workers[number]
            if number < count and not worker.running:
                await self._start(worker, patient=True)
            elif number >= count and worker.running:
                await self._send_away(worker)
        self._wanted = count

    def _running(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers[:MOST_WORKERS] if worker.running]

    # -- progress ---------------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        began = time.monotonic()
        if unread := await self._unread(CATCH_UP):
            raise Broken(f"after {CATCH_UP:.0f} s without a fault this is still not folded: {unread}")
        self._outcome.slowest = max(self._outcome.slowest, time.monotonic() - began)

    async def _unread(self, patience: float) -> dict[Place, int]:
        """Wait until all that is in the log now was folded; what was not."""
        ends = await self._ends()
        deadline = time.monotonic() + patience
        while True:
            reached: dict[Place, int] = {}
            for worker in self._running():
                for place, position in (await asyncio.to_thread(positions, worker)).items():
                    reached[place] = max(position, reached.get(place, 0))
            unread = {
                place: end - reached.get(place, 0)
                for place, end in ends.items()
                if reached.get(place, 0) < end
            }
            if not unread or time.monotonic() > deadline:
                return unread
            await asyncio.sleep(0.1)

    async def _ends(self) -> dict[Place, int]:
        async with AIOKafkaConsumer(bootstrap_servers=self._bootstrap) as consumer:
            places = [
                TopicPartition(self._prefix + topic, number)
                for topic, count in PARTITIONS.items()
                for number in range(count)
            ]
            ends = await consumer.end_offsets(places)
        return {(place.topic, place.partition): end for place, end in ends.items()}

    async def _look(self) -> None:
        while True:
            await asyncio.to_thread(self._recorder.look, self._workers)
            await asyncio.sleep(1)

    # -- verdict ----------------------------------------------------------------------------------------------

    async def _judge(self, unread: dict[Place, int]) -> dict[str, Violations]:
        history = await History(self._bootstrap, self._prefix, self._prefix.rstrip(".")).read()
        self._outcome.records = len(history.topics["events"]) + len(history.topics["fleet"])
        recorded = Recorded(
            history,
            self._load,
            self._outcome.tasks,
            PARTITIONS,
            unread,
            [worker.data_dir for worker in self._workers],
        )
        found = {name: await asyncio.to_thread(check, recorded) for name, check in CHECKS.items()}
        return {**found, "unverified": await self._unverified()}

    async def _unverified(self) -> Violations:
        """What an auditor would object to."""
        async with KafkaHistory(self._bootstrap, self._prefix) as history:
            audit = await Verification(history).run()
        found = [str(finding.on_wire()) for finding in audit.findings if finding.verdict in OBJECTIONS]
        if not audit.adds_up:
            found.append(str(audit.accounting))
        return found + [
            f"no {check} to compare" for check in ("facts", "outputs", "plans") if check not in audit.counts
        ]


def report(outcome: Outcome) -> str:
    """The verdict, as a table."""
    done = outcome.done
    lines = [
        "",
        f"seed {outcome.seed}: {outcome.kills} kills ({done['failpoint']} at failpoints, {done['kill']} at random "
        f"moments), {done['nap']} naps, {done['leave']} leaves; {outcome.tasks} tasks, {outcome.records} records; "
        f"caught up within {outcome.slowest:.1f} s",
    ]
    lines += [f"  never reached: {what}" for what in outcome.unreached]
    for name, violations in outcome.violations.items():
        lines.append(f"  {name:14}{f'{len(violations)} violations' if violations else 'none'}")
        lines += [f"      {violation[:300]}" for violation in violations[:5]]
    lines.append("clean" if outcome.clean else "VIOLATED")
    return "\n".join(lines)


def end_in_order() -> None:
    """Let SIGTERM end the program as Ctrl-C does: with an exception, so that it takes its workers with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main() -> int:
    end_in_order()
    logging.getLogger("coordinator").setLevel(logging.CRITICAL)  # agents stumble on purpose
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    kills = int(os.environ.get("CHAOS_KILLS", "210"))
    kept = os.environ.get("CHAOS_DIRECTORY")
    directory = Path(kept or tempfile.mkdtemp(prefix="chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    faults = schedule(seed, kills)
    print(f"CHAOS_SEED={seed}  {len(faults)} faults, {kills} of them kills; in {directory}", flush=True)
    with LocalKafka(directory / "kafka") as broker:
        prefix = f"chaos-{uuid.uuid4().hex[:8]}."
        chaos = Chaos(broker.bootstrap, prefix, directory, seed, lambda line: print(line, flush=True))
        outcome = asyncio.run(chaos.run(faults))
    print(report(outcome), flush=True)
    picture(directory / "gauges.jsonl", Path("chaos.png"))
    if outcome.clean and not kept:
        shutil.rmtree(directory)
    else:
        print(f"logs, gauges and stores are in {directory}")
    return 0 if outcome.clean else 1


def picture(gauges: Path, path: Path) -> None:
    """Draw the gauges, with a matplotlib in an environment of its own; say so if there is none to be had."""
    from bench.environments import python_of

    try:
        python = python_of("plot", "matplotlib==3.10.0")
        script = Path(__file__).with_name("plot.py")
        subprocess.run([python, str(script), str(gauges), str(path)], check=True)
        print(f"gauges drawn into {path}")
    except (OSError, subprocess.SubprocessError) as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    sys.exit(main())
