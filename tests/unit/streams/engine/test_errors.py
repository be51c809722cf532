"""What the engine's failures tell people to do."""

from __future__ import annotations

import pytest
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError

from streams.engine.errors import NotDelivered


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (MessageSizeTooLargeError(), "takes records of this size"),
        (InvalidTimestampError(), "clock is more than an hour ahead of the brokers': set it right"),
    ],
)
def test_what_kafka_refused_says_why_and_what_to_do(cause: KafkaError, advice: str) -> None:
    assert advice in str(NotDelivered("fleet", cause))
