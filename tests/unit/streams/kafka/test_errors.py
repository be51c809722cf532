"""How a broker ended, in words that hold for each way to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.kafka.errors import BrokerExited

LOG = Path("/data/kafka.log")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (1, "Kafka ended by itself with status 1. Its log says why: /data/kafka.log."),
        (143, "Kafka was ended by SIGTERM; its log is /data/kafka.log."),
        (255, "Kafka ended by itself with status 255."),
    ],
)
def test_an_end_is_told_by_its_status(status: int, said: str) -> None:
    assert str(BrokerExited(status, LOG)).startswith(said)


def test_a_killed_broker_is_not_said_to_have_told_why() -> None:
    text = str(BrokerExited(137, LOG))
    assert "killed by SIGKILL, perhaps since the machine was out of memory" in text
    assert str(LOG) not in text
    assert "start it again" in text
