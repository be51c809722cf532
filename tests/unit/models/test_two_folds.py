"""The two folds together, with no Kafka between them: what the one writes the other understands."""

from __future__ import annotations

import itertools

import orjson
import pytest

from models.fleet import FleetFold
from models.fold import LogRecord, Output
from models.ingress import IngressFold
from models.partition import partition_of
from tests.unit.models.ingress.history import history
from tests.unit.models.ingress.world import START


class Logs:
    """Both topics of one coordinator with two events partitions and one fleet partition, driven by hand."""

    def __init__(self) -> None:
        self.ingress = [IngressFold(partition, {"events": 2, "fleet": 1}) for partition in range(2)]
        self.fleet = FleetFold(0, 2)
        self.offsets = itertools.count()
        self.out: list[Output] = []
        self.now = START

    def append(
        self, partition: int, value: bytes | None, headers: object = (), key: bytes | None = None
    ) -> None:
        record = LogRecord(next(self.offsets), self.now, key, value, headers)  # type: ignore[arg-type]
        self._route(self.ingress[partition].fold([record]))

    def say(self, **event: object) -> None:
        self.append(0, orjson.dumps(event))

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.now += 1_000
            for partition in range(2):
                self.append(partition, b'{"type":"clock_ticked"}')

    def _route(self, outputs: list[Output]) -> None:
        for output in outputs:
            if output.topic == "fleet":
                record = LogRecord(next(self.offsets), self.now, output.key, output.value, output.headers)
                self._route(self.fleet.fold([record]))
            elif output.topic == "events":
                partition = output.partition
                if partition is None:
                    partition = partition_of(output.key or b"", 2)
                self.append(partition, output.value, output.headers, output.key)
            else:
                self.out.append(output)

    def alerts(self) -> list[str]:
        values = [orjson.loads(output.value or b"") for output in self.out if output.topic == "alerts"]
        return [value["type"] for value in values]


@pytest.mark.parametrize("seed", range(6))
def test_fleet_fold_understands_everything_that_the_ingress_fold_forwards(seed: int) -> None:
    logs = Logs()
    for record in history(seed):
        logs.now = record.timestamp
        logs.append(0, record.value, record.headers)
    logs.fleet.validate()
    letters = [output for output in logs.out if output.topic == "dead-letters"]
    assert all(b"coordinator.events/" in dict(letter.headers)["coord-origin"] for letter in letters)  # type: ignore[operator]


def test_policy_goes_round_through_both_folds_and_applies_in_every_partition() -> None:
    logs = Logs()
    logs.say(type="policy_changed", policy={"register_unknown_agents": False}, version=1)
    logs.say(type="status_update", agent_id="a1", status="idle")
    logs.say(type="status_update", agent_id="a2", status="idle")
    assert sum(fold.status().rejections.get("unknown_agent", 0) for fold in logs.ingress) == 2
    assert sum(fold.status().agents for fold in logs.ingress) == 0


def test_silent_agents_are_lost_in_the_fleet_by_ticks_alone() -> None:
    logs = Logs()
    logs.say(type="status_update", agent_id="a1", status="idle")
    logs.say(type="status_update", agent_id="a2", status="idle")
    logs.now += 3_600_000
    logs.seconds(3)
    assert "agent_lost" not in logs.alerts()
    logs.seconds(30)
    assert logs.alerts().count("agent_lost") == 2
