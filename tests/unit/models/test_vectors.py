"""The test vectors of ``docs/spec``, which authors in other languages run as well, hold for our own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.codec import InvalidRecord
from models.cut import BadCut, Cut, Place
from models.events import decode_event
from models.fleet.state import State
from models.fleet.step import Step
from models.fold import LogRecord
from models.partition import murmur2, partition_of

VECTORS = Path(__file__).parents[3] / "docs" / "spec" / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())["vectors"]
    assert loaded
    return loaded


@pytest.mark.parametrize("vector", vectors("decoding"), ids=lambda vector: vector["name"])
def test_value_decodes_as_its_vector_says(vector: dict[str, Any]) -> None:
    raw = vector["value"].encode()
    if "error" in vector:
        with pytest.raises(InvalidRecord) as caught:
            decode_event(raw)
        assert caught.value.code == vector["error"]
        return
    event = decode_event(raw)
    assert (event.type, event.subject) == (vector["type"], vector["subject"])
    assert getattr(event, "time", None) == vector.get("time_ms")


@pytest.mark.parametrize("vector", vectors("placement"), ids=lambda vector: vector["key"] or "empty")
def test_key_is_placed_as_its_vector_says(vector: dict[str, Any]) -> None:
    key = vector["key"].encode()
    assert murmur2(key) == vector["murmur2"]
    for partitions, partition in vector["partitions"].items():
        assert partition_of(key, int(partitions)) == partition


@pytest.mark.parametrize("vector", vectors("directive_ids"), ids=lambda vector: vector["directive_id"])
def test_directive_id_is_formed_as_its_vector_says(vector: dict[str, Any]) -> None:
    state = State(1)
    step = Step(state)
    step.begin(LogRecord(vector["offset"], 0, None, None))
    fleet = state.fleet(vector["fleet"])
    ids = [step.next_directive(fleet)[0] for _ in range(vector["index"] + 1)]
    assert ids[-1] == vector["directive_id"]
    assert vector["directive_id"].rsplit(".", 2) == [
        vector["fleet"],
        str(vector["offset"]),
        str(vector["index"]),
    ]


@pytest.mark.parametrize("vector", vectors("cuts"), ids=lambda vector: vector["name"])
def test_cut_is_written_as_its_vector_says(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(BadCut):
            Cut.parse(vector["text"])
        return
    offsets = {Place(topic, partition): offset for topic, partition, offset in vector["offsets"]}
    cut = Cut.of(vector["cluster"], offsets)
    assert str(cut) == vector["text"]
    for text in (vector["text"], *vector["also"]):
        assert Cut.parse(text) == cut
