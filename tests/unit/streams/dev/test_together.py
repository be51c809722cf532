"""Several things at once end in order, and their errors come out as what they were."""

from __future__ import annotations

import asyncio

import pytest

from streams.dev.together import first_of


async def forever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        ended.append(name)


async def soon() -> None:
    await asyncio.sleep(0.01)


async def test_the_first_to_end_ends_the_others_which_may_finish() -> None:
    ended: list[str] = []
    await first_of(forever(ended, "a"), soon(), forever(ended, "b"))
    assert ended == ["a", "b"]


async def test_the_error_of_the_first_to_fail_comes_out_even_from_a_group() -> None:
    async def fail() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            group.create_task(broken())

    async def broken() -> None:
        raise LookupError("gone")

    ended: list[str] = []
    with pytest.raises(LookupError, match="gone"):
        await first_of(forever(ended, "a"), fail())
    assert ended == ["a"]


async def test_cancelling_the_whole_ends_all_parts() -> None:
    ended: list[str] = []
    whole = asyncio.create_task(first_of(forever(ended, "a"), forever(ended, "b")))
    await asyncio.sleep(0.01)
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert ended == ["a", "b"]
