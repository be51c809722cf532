"""Records of earlier versions are read as those of this one, and those of later versions are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import events, fleet_records
from models.codec import InvalidRecord, encode
from models.events import StatusUpdate, decode_event, event_schema
from models.fleet_records import FACT_TYPES, AgentLost, Fact, decode_fleet_record, fleet_record_schema
from models.upcasting import FIELD, Chains, upcast

CHAINS: Chains = {
    "moved": (
        lambda old: {**old, "to": old["place"], FIELD: 2},  # 2: a move has two ends
        lambda old: {**{name: old[name] for name in old if name != "place"}, "from": None, FIELD: 3},
    ),
    "still": (),
}


@given(st.integers(1, 3), st.text(max_size=5))
@settings(deadline=None)
def test_each_version_leads_to_the_last_one_and_its_argument_stays(version: int, place: str) -> None:
    forms: list[dict[str, Any]] = [
        {"type": "moved", "place": place},
        {"type": "moved", "place": place, "to": place, FIELD: 2},
        {"type": "moved", "to": place, "from": None, FIELD: 3},
    ]
    value = forms[version - 1]
    before = copy.deepcopy(value)
    assert upcast(value, CHAINS) == forms[2]
    assert value == before
    assert upcast(upcast(value, CHAINS), CHAINS) == forms[2], "the last version is not touched"


@pytest.mark.parametrize("version", [0, 4, -1, "2", 1.0, True, None, 2**60])
def test_a_version_that_nobody_knows_is_never_guessed_at(version: object) -> None:
    with pytest.raises(InvalidRecord, match=r"versions 1 to 3 are known here: upgrade") as refused:
        upcast({"type": "moved", "place": "x", FIELD: version}, CHAINS)
    assert refused.value.code == "version"


def test_what_has_no_chain_is_somebody_elses_to_refuse() -> None:
    for value in ({"type": "new", FIELD: 9}, {"type": 3, FIELD: 9}, {FIELD: 9}):
        assert upcast(value, CHAINS) is value


def test_every_type_has_a_chain() -> None:
    assert events.CHAINS.keys() == event_schema()["discriminator"]["mapping"].keys()  # type: ignore[index]
    own = fleet_record_schema()["oneOf"]
    assert len(fleet_records.CHAINS) + 1 == len(own)  # type: ignore[arg-type]
    assert events.CHAINS.keys() >= FACT_TYPES


def test_events_and_fleet_records_go_through_their_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "status": old["mood"], FIELD: 2}

    def in_milliseconds(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "silence": old["silence"] * 1_000, FIELD: 2}

    monkeypatch.setattr(events, "CHAINS", {**events.CHAINS, "status_update": (renamed,)})
    monkeypatch.setattr(fleet_records, "CHAINS", {**fleet_records.CHAINS, "agent_lost": (in_milliseconds,)})
    old = {"type": "status_update", "agent_id": "a1", "mood": "idle"}
    new = {"type": "status_update", "agent_id": "a1", "status": "idle", FIELD: 2}
    expected = StatusUpdate(agent_id="a1", status="idle")
    source = {"partition": 0, "offset": 3, "index": 0}
    for event in (old, new):
        assert decode_event(encode(event)) == expected
        fact = decode_fleet_record(
            encode({"type": "status_update", "source": source, "through": 5, "event": event})
        )
        assert isinstance(fact, Fact)
        assert fact.event == expected
        assert fact.original == event, "the log says what it always said"
    lost = {"type": "agent_lost", "source": source, "fleet": "default", "agent_id": "a1"}
    for record in ({**lost, "silence": 9}, {**lost, "silence": 9_000, FIELD: 2}):
        found = decode_fleet_record(encode(record))
        assert isinstance(found, AgentLost)
        assert found.silence == 9_000
