"""What becomes of messages on their way into one partition, with a broker that answers when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from streams.engine.lane import Lane, Message


class Broker:
    """Takes one request after the other; each is acknowledged by :meth:`answer`."""

    def __init__(self) -> None:
        self.requests: list[list[bytes | None]] = []
        self.pending: list[asyncio.Future[None]] = []

    async def take(self, messages: Iterable[Message]) -> None:
        self.requests.append([value for _, value, _ in messages])
        self.pending.append(asyncio.get_running_loop().create_future())
        await self.pending[-1]

    async def answer(self, error: Exception | None = None) -> None:
        oldest = self.pending.pop(0)
        if error is None:
            oldest.set_result(None)
        else:
            oldest.set_exception(error)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def message(value: bytes) -> Message:
    return None, value, ()


async def test_what_comes_while_a_request_is_under_way_goes_with_the_next_one() -> None:
    broker = Broker()
    lane = Lane(broker.take)
    first = lane.put([message(b"1")])
    await settle()
    later = [lane.put([message(b"%d" % number)]) for number in range(2, 100)]
    await settle()
    assert broker.requests == [[b"1"]]
    await broker.answer()
    assert first.done()
    assert not any(one.done() for one in later)
    assert broker.requests[1:] == [[b"%d" % number for number in range(2, 100)]]
    await broker.answer()
    assert all(one.done() for one in later)


async def test_an_idle_lane_sends_at_once() -> None:
    broker = Broker()
    lane = Lane(broker.take)
    for number in range(3):
        sent = lane.put([message(b"%d" % number)])
        await settle()
        await broker.answer()
        await sent
    assert broker.requests == [[b"0"], [b"1"], [b"2"]]


async def test_nothing_overtakes_a_failed_message() -> None:
    broker = Broker()
    lane = Lane(broker.take)
    first = lane.put([message(b"1")])
    await settle()
    second = lane.put([message(b"2")])
    await broker.answer(ConnectionError("gone"))
    third = lane.put([message(b"3")])
    for one in (first, second, third):
        with pytest.raises(ConnectionError):
            await one
    assert broker.requests == [[b"1"]]


async def test_who_no_longer_waits_harms_nobody_else() -> None:
    broker = Broker()
    lane = Lane(broker.take)
    impatient, patient = lane.put([message(b"1")]), lane.put([message(b"2")])
    impatient.cancel()
    await settle()
    await broker.answer()
    await patient
    assert broker.requests == [[b"1", b"2"]]


async def test_closing_cancels_who_waits() -> None:
    lane = Lane(Broker().take)
    under_way = lane.put([message(b"1")])
    await settle()
    waiting = lane.put([message(b"2")])
    lane.close()
    await settle()
    assert under_way.cancelled()
    assert waiting.cancelled()
