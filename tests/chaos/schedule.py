"""What will go wrong, and when: drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from streams.failpoints import FAILPOINTS
from tests.support.failpoint_hits import hits_of

Kind: TypeAlias = Literal["kill", "failpoint", "nap", "leave", "workers"]

CHAINED = 0.25
"""Share of the kills after which the next fault does not wait until the workers have caught up."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    ``kill`` is SIGKILL at a random moment, ``failpoint`` a SIGKILL at a named step, ``nap`` a SIGSTOP beyond the
    session timeout, ``leave`` a SIGTERM, ``workers`` another number of workers.
    """

    kind: Kind
    after: float
    """Seconds of load before it."""
    victim: float = 0.0
    """Which of the running workers, as a share of them."""
    failpoint: str = ""
    hit: int = 0
    count: int = 0
    """Of ``workers``."""
    patient: bool = True
    """Whether the next one waits until the workers have caught up."""

    def __str__(self) -> str:
        what = {
            "failpoint": f"kill at {self.failpoint}, hit {self.hit}",
            "workers": f"{self.count} workers",
        }.get(self.kind, self.kind)
        return what if self.patient else f"{what}, and the next at once"


def places(chance: random.Random) -> list[tuple[str, int]]:
    """Every failpoint, at its first hit, its second, and a random one, as far as a worker comes by so often."""
    found = []
    for name in FAILPOINTS:
        # Of three workers each may have a single partition, and so load a single store.
        most = 1 if name.startswith("restore.store-") else hits_of(name)
        hits = {1, min(2, most)} | ({chance.randint(3, 3 * most)} if most > 2 else set())
        found += [(name, hit) for hit in sorted(hits)]
    return found


def schedule(seed: int, kills: int) -> list[Fault]:
    """So many kills, a third of them at failpoints as far as there are as many, and what else belongs to it."""
    chance = random.Random(seed)
    at_steps = places(chance)
    chance.shuffle(at_steps)
    faults = [
        Fault(
            "failpoint", chance.uniform(0, 0.5), chance.random(), name, hit, patient=chance.random() > CHAINED
        )
        for name, hit in at_steps[: kills // 3]
    ]
    faults += [
        Fault("kill", chance.uniform(0, 3), chance.random(), patient=chance.random() > CHAINED)
        for _ in range(kills - len(faults))
    ]
    faults += [Fault("nap", chance.uniform(0, 1), chance.random()) for _ in range(max(1, kills // 25))]
    faults += [Fault("leave", chance.uniform(0, 1), chance.random()) for _ in range(max(1, kills // 20))]
    chance.shuffle(faults)
    # One worker, then three, then two, and one again.
    for share, count in ((0.85, 1), (0.6, 2), (0.25, 3)):
        faults.insert(int(len(faults) * share), Fault("workers", chance.uniform(0, 1), count=count))
    return faults
