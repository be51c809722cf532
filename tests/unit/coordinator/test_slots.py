"""Slots under cancellation and moving limits."""

from __future__ import annotations

import asyncio

import pytest

from coordinator._slots import Slots


class Holder:
    """Takes a slot and holds it until told."""

    def __init__(self, slots: Slots) -> None:
        self.release = asyncio.Event()
        self.holds = False
        self.task = asyncio.create_task(self._hold(slots))

    async def _hold(self, slots: Slots) -> None:
        async with slots.taken():
            self.holds = True
            await self.release.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_slots_are_given_in_order_and_follow_the_limit() -> None:
    slots = Slots(1)
    holders = [Holder(slots) for _ in range(4)]
    await settle()
    assert [each.holds for each in holders] == [True, False, False, False]
    slots.limit = 2
    await settle()
    assert [each.holds for each in holders] == [True, True, False, False]
    slots.limit = 1
    holders[0].release.set()
    await settle()
    assert not holders[2].holds
    holders[1].release.set()
    await settle()
    assert holders[2].holds
    assert not holders[3].holds
    for each in holders:
        each.release.set()
    await asyncio.gather(*(each.task for each in holders))


@pytest.mark.parametrize("woken", [False, True])
async def test_whoever_is_cancelled_while_waiting_leaves_its_turn_to_the_next(woken: bool) -> None:
    slots = Slots(1)
    holders = [Holder(slots) for _ in range(3)]
    await settle()
    if woken:
        holders[0].release.set()
        await holders[0].task  # the second has been woken, but has not run yet
    holders[1].task.cancel()
    holders[0].release.set()
    await settle()
    assert holders[2].holds
    holders[2].release.set()
    await holders[2].task
    with pytest.raises(asyncio.CancelledError):
        await holders[1].task
