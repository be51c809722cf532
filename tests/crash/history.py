"""Checks of a whole recorded history against one uninterrupted cold pass over the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from models.fleet import FleetFold
from models.fold import Fold, Output
from models.ingress import IngressFold
from streams.engine.changelog import Replay, hash_rows, row_key
from streams.reader import Stored, TopicReader

FLEET_OUTPUTS = ("directives", "results", "reports", "alerts")


@dataclass(slots=True)
class History:
    """Everything that the topics of one coordinator hold."""

    bootstrap: str
    prefix: str
    application: str
    topics: dict[str, list[Stored]] = field(default_factory=dict)

    async def read(self) -> History:
        for topic in ("events", "fleet", *FLEET_OUTPUTS, "dead-letters"):
            async with TopicReader(self.bootstrap, self.prefix) as reader:
                self.topics[topic] = [record async for record in reader.records(topic)]
        for table in ("agents", "fleet"):
            name = f"{self.application}-{table}-changelog"
            async with TopicReader(self.bootstrap, "") as reader:
                self.topics[name] = [record async for record in reader.records(name)]
        return self

    def partition(self, topic: str, partition: int) -> list[Stored]:
        records = [record for record in self.topics[topic] if record.partition == partition]
        return sorted(records, key=lambda record: record.offset)

    # -- P4: one id, one content

    def contents_of_directives(self) -> dict[str, set[bytes]]:
        contents: dict[str, set[bytes]] = defaultdict(set)
        for record in self.topics["directives"]:
            assert record.value is not None
            contents[orjson.loads(record.value)["directive_id"]].add(record.value)
        return contents

    def results_of_tasks(self) -> dict[str, set[bytes]]:
        contents: dict[str, set[bytes]] = defaultdict(set)
        for record in self.topics["results"]:
            assert record.key is not None
            assert record.value is not None
            contents[record.key.decode()].add(record.value)
        return contents

    # -- P2, P5: what was put out is what a cold pass puts out

    def assert_outputs_are_those_of_a_cold_fold(self, fleet_partitions: int, events_partitions: int) -> None:
        """All of what a checkpoint vouches for is there, and nothing that does not follow from the log.

        What lies behind the last checkpoint is folded and put out again by whoever comes next: some of it may be
        there already. A worker that stops has often just appended to the fleet log what it will not read any more.
        """
        due: list[Output] = []
        early: list[Output] = []
        for partition in range(fleet_partitions):
            fold = self._fleet_fold(partition, events_partitions)
            position = self._saved_position("fleet", partition)
            records = self.partition("fleet", partition)
            due += fold.fold([record for record in records if record.offset < position])
            early += fold.fold([record for record in records if record.offset >= position])
        for topic in ("directives", "results", "reports"):
            expected, allowed = (
                {
                    (output.key, output.value, tuple(output.headers))
                    for output in outputs
                    if output.topic == topic
                }
                for outputs in (due, early)
            )
            actual = {(record.key, record.value, tuple(record.headers)) for record in self.topics[topic]}
            assert actual - allowed == expected - allowed, _difference(topic, actual - allowed, expected)

    # -- P1, P2: the tables are those of a cold pass

    def assert_table_is_a_cold_fold(self, table: str, source: str, cold: Fold, partition: int) -> None:
        """The changelog's state of one partition equals a cold fold of the source up to the same position."""
        replay = self._saved(table, partition)
        assert replay.mark is not None, f"{table}/{partition} was never checkpointed"
        records = [one for one in self.partition(source, partition) if one.offset < replay.mark.position]
        cold.fold(records)
        expected = {
            row_key(name, key): rows.encode(row)
            for name, rows in cold.tables.items()
            for key, row in rows.rows.items()
        }
        different = sorted(
            key for key in expected.keys() | replay.rows.keys() if expected.get(key) != replay.rows.get(key)
        )
        assert not different, f"{table}/{partition}: {len(different)} rows differ, such as {different[:5]}"
        assert replay.proves_itself(hash_rows(replay.rows)[1])

    def assert_tables_are_cold_folds(self, events_partitions: int, fleet_partitions: int) -> None:
        partitions = {"events": events_partitions, "fleet": fleet_partitions}
        for partition in range(events_partitions):
            fold = IngressFold(partition, partitions, topic=f"{self.prefix}events")
            self.assert_table_is_a_cold_fold("agents", "events", fold, partition)
        for partition in range(fleet_partitions):
            cold = self._fleet_fold(partition, events_partitions)
            self.assert_table_is_a_cold_fold("fleet", "fleet", cold, partition)

    # -- P3: every record is accounted for

    def assert_every_record_is_accounted_for(self, events_partitions: int, fleet_partitions: int) -> None:
        partitions = {"events": events_partitions, "fleet": fleet_partitions}
        for partition in range(events_partitions):
            ingress = IngressFold(partition, partitions, topic=f"{self.prefix}events")
            records = self.partition("events", partition)
            ingress.fold(records)
            ingress.validate()
            assert sum(ingress.status().outcomes.values()) == len(records)
        for partition in range(fleet_partitions):
            fleet = self._fleet_fold(partition, events_partitions)
            records = self.partition("fleet", partition)
            fleet.fold(records)
            fleet.validate()
            assert sum(fleet.state.clock.outcomes.values()) == len(records)

    def _saved(self, table: str, partition: int) -> Replay:
        replay = Replay()
        replay.apply(self.partition(f"{self.application}-{table}-changelog", partition), own_fence=1 << 62)
        return replay

    def _saved_position(self, table: str, partition: int) -> int:
        """Of the last checkpoint; 0 if there is none."""
        mark = self._saved(table, partition).mark
        return 0 if mark is None else mark.position

    def _fleet_fold(self, partition: int, events_partitions: int) -> FleetFold:
        return FleetFold(partition, events_partitions, f"{self.prefix}fleet")


def _difference(topic: str, actual: Iterable[object], expected: Iterable[object]) -> str:
    extra = sorted(map(repr, set(actual) - set(expected)))
    missing = sorted(map(repr, set(expected) - set(actual)))
    return (
        f"{topic}: {len(extra)} not derived from the log, {len(missing)} missing; {extra[:2]} {missing[:2]}"
    )
