"""Named places at which a worker can be made to die, stop for a while, or fail: for tests of what a crash leaves.

A place is a call, ``failpoint("checkpoint.changelog-acked")``; in production it costs the look at an empty
dictionary. ``COORDINATOR_FAILPOINTS`` arms them, several separated by semicolons::

    checkpoint.changelog-acked=kill             at the first hit
    fold.done=kill@3                            at the third
    restore.fenced=pause(12)                    the whole process sleeps, like one whose machine was suspended
    emit.submitted=raise@2                      an exception that nobody expects

The idea is that of FreeBSD's fail(9) and of TiKV's ``fail`` crate.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from typing import Final

from streams.errors import ConfigurationError

VARIABLE: Final = "COORDINATOR_FAILPOINTS"

FAILPOINTS: Final[dict[str, str]] = {
    "start.connected": "the producer is connected",
    "restore.fenced": "the fences of all partitions are in the changelog",
    "restore.store-loaded": "the local copy of a partition was read, or there was none",
    "restore.changelog-read": "the tails of all partitions were read and proved",
    "restore.store-updated": "a local copy was brought up to date",
    "restore.done": "all partitions are about to open",
    "fold.begun": "a batch is about to be folded",
    "fold.done": "a batch was folded; nothing of it was sent",
    "emit.submitted": "outputs were handed to the producer",
    "emit.acked": "all outputs of a batch are acknowledged",
    "checkpoint.begun": "what is dirty was encoded",
    "checkpoint.outputs-acked": "step 1 is done",
    "checkpoint.rows-submitted": "a batch of changelog records was handed to the producer",
    "checkpoint.changelog-acked": "step 2 is done",
    "checkpoint.store-written": "step 3 is done",
    "checkpoint.committed": "step 4 is done",
    "revoke.begun": "partitions are to be given up",
    "revoke.saved": "their last checkpoint is taken",
    "stop.begun": "the worker is to stop",
    "stop.saved": "its last checkpoint is taken",
}
"""Every place by name, and what has happened when it is reached."""

_ORDER = re.compile(
    r"(?P<name>[a-z.-]+)=(?P<act>kill|raise|pause\((?P<seconds>\d+(\.\d+)?)\))(@(?P<hit>[1-9]\d*))?"
)


class Injected(Exception):
    """Raised by a failpoint, on order."""


@dataclass(slots=True)
class _Order:
    act: str
    seconds: float
    left: int
    """Hits until it acts."""


_orders: dict[str, _Order] = {}


def failpoint(name: str) -> None:
    """Do here what was ordered for this place, which is nothing nearly always."""
    if _orders:
        _reached(name)


def arm(orders: str) -> None:
    """Arm what is written as in the module's description.

    Raises:
        ConfigurationError: naming what is not written like that, or no failpoint.
    """
    armed = {}
    for word in filter(None, (word.strip() for word in orders.split(";"))):
        order = _ORDER.fullmatch(word)
        if order is None:
            raise ConfigurationError(f"{VARIABLE}: {word!r} is no order such as checkpoint.committed=kill@2")
        if order["name"] not in FAILPOINTS:
            raise ConfigurationError(
                f"{VARIABLE}: no failpoint {order['name']}; there are {', '.join(FAILPOINTS)}"
            )
        act = order["act"].partition("(")[0]
        armed[order["name"]] = _Order(act, float(order["seconds"] or 0), int(order["hit"] or 1))
    _orders.clear()
    _orders.update(armed)


def _reached(name: str) -> None:
    order = _orders.get(name)
    if order is None:
        return
    order.left -= 1
    if order.left:
        return
    del _orders[name]
    print(f"failpoint {name}: {order.act}", file=sys.__stderr__, flush=True)
    if order.act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif order.act == "pause":
        time.sleep(order.seconds)
    else:
        raise Injected(name)


arm(os.environ.get(VARIABLE, ""))
