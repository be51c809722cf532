"""The words for how an agent is, the same wherever one is shown."""

from __future__ import annotations

import pytest

from models.fleet.views import agent_states


def agent(**fields: object) -> dict[str, object]:
    return {"liveness": "alive", "status": "active", "held": 0, "slots": 2, "usable": 2, **fields}


@pytest.mark.parametrize(("held", "word"), [(0, "idle"), (1, "active"), (2, "busy"), (3, "busy")])
@pytest.mark.parametrize("said", ["active", "idle", "busy"])
def test_how_much_an_agent_has_to_do_is_taken_from_the_ledger(held: int, word: str, said: str) -> None:
    assert agent_states(agent(held=held, status=said)) == [word]


def test_what_only_the_agent_can_know_is_taken_from_its_word() -> None:
    assert agent_states(agent(status="draining")) == ["draining"]


def test_a_silent_agents_last_word_is_no_state() -> None:
    assert agent_states(agent(liveness="lost")) == ["lost"]
    assert agent_states(agent(liveness="suspected", cordoned=True)) == ["suspected", "cordoned"]


def test_what_was_decided_about_an_agent_comes_before_what_it_has_to_do() -> None:
    assert agent_states(agent(drained=True, cordoned=True, held=1)) == ["drained", "cordoned", "active"]


def test_an_agent_that_gets_less_work_than_it_has_slots_says_so() -> None:
    assert agent_states(agent(breaker="open")) == ["tripped", "idle"]
    assert agent_states(agent(breaker="half_open", usable=1, held=1)) == ["probation", "busy"]
