"""A rejection finds its submission by the place of the event, whichever of the two is known first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError, UnsupportedVersionError

from coordinator import CoordinatorError, TaskResult
from coordinator._reader import Reader, Subscription
from coordinator._rejections import Rejections


def alert(offset: int, fleet: str = "default", **fields: Any) -> bytes:
    events = [{"partition": 1, "offset": offset}]
    value = {"type": "rejected", "fleet": fleet, "subject": "t1", "reason": "task_exists"}
    return orjson.dumps({**value, "cause": {"offset": 9, "events": events}, **fields})


def future() -> asyncio.Future[TaskResult]:
    return asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("early", [True, False])
async def test_the_submission_at_the_place_of_the_rejected_event_is_refused(early: bool) -> None:
    rejections, own, of_another = Rejections("default"), future(), future()
    rejections.expect((1, 6), of_another)
    if early:
        rejections.hear(alert(7))
    rejections.expect((1, 7), own)
    if not early:
        rejections.hear(alert(7))
    assert (own.result().state, own.result().reason) == ("refused", "task_exists")
    assert not of_another.done()


async def test_what_has_its_result_and_what_is_another_fleets_is_left_alone() -> None:
    rejections, done, own = Rejections("default"), future(), future()
    rejections.expect((1, 6), done)
    rejections.expect((1, 7), own)
    done.set_result(TaskResult(task_id="t1", state="completed"))
    rejections.hear(alert(6))
    rejections.hear(alert(7, fleet="other"))
    assert done.result().ok
    assert not own.done()


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"no JSON",
        b"[]",
        alert(7, type="agent_lost"),
        alert(7, subject=None),
        alert(7, cause=None),
        alert(7, cause={"events": []}),
        alert(7, cause={"events": [7]}),
        alert(7, cause={"events": [{"partition": 1, "offset": "7"}]}),
    ],
)
async def test_alerts_that_make_no_sense_change_nothing(raw: bytes | None) -> None:
    rejections, own = Rejections("default"), future()
    rejections.expect((1, 7), own)
    rejections.hear(raw)
    assert not own.done()


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (TopicAuthorizationFailedError("alerts"), ["alerts"]),
        (UnsupportedVersionError(), ["alerts", "results"]),
    ],
)
async def test_a_topic_that_may_not_be_read_ends_the_reading_of_no_other(error: Any, lost: list[str]) -> None:
    failed: list[str] = []

    def noting(topic: str) -> Callable[[CoordinatorError], None]:
        return lambda _: failed.append(topic)

    reader = Reader(consumer=None)  # not asked for anything here
    for topic in ("alerts", "results"):
        place = TopicPartition(topic, 0)
        reader.subscribe(Subscription(place, None, 0, receive=lambda _: None, failed=noting(topic)))
    reader._fail(error)
    assert failed == lost
