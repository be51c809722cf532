"""Tasks from options and lines of JSON: accepted is what the contract allows, faults name their line."""

from __future__ import annotations

import pytest

from coordinator import Role, Spread
from streams.cli.submit import _chunks, _spread, task_from_fields, tasks_from_lines
from streams.errors import ConfigurationError


def test_a_line_becomes_the_task_it_describes() -> None:
    line = (
        b'{"task_id":"t1","requires":{"capabilities":["write"],"resources":{"gpu":1},"labels":{"os":"linux"}},'
        b'"slots":2,"size":3,"priority":9,"deadline":"2026-01-01T00:00:00Z","prefer":{"zone":"north"},'
        b'"max_attempts":5,"ack_timeout":1,"run_timeout":60,"tenant":"acme","payload":[1]}'
    )
    (task,) = tasks_from_lines([line], "default")
    assert task.task_id == "t1"
    assert (task.capabilities, task.resources, task.labels) == (["write"], {"gpu": 1}, {"os": "linux"})
    assert (task.slots, task.size, task.priority, task.max_attempts) == (2, 3, 9, 5)
    assert task.deadline == 1_767_225_600.0
    assert (task.prefer_zone, task.tenant, task.payload) == ("north", "acme", [1])


def test_every_field_has_a_default_and_empty_lines_are_skipped() -> None:
    tasks = list(tasks_from_lines([b"{}\n", b"\n", b"{}\n"], "default"))
    assert len({task.task_id for task in tasks}) == 2


def test_a_coalition_is_taken_over() -> None:
    task = task_from_fields({"coalition": {"roles": [{"role": "lead", "count": 2}]}}, "default", "it")
    assert task.roles == [Role(role="lead", count=2)]
    cover = task_from_fields({"coalition": {"cover": ["a", "b"], "max_size": 2}}, "default", "it")
    assert (cover.cover, cover.max_size) == (["a", "b"], 2)


def test_a_group_is_taken_over() -> None:
    task = task_from_fields({"spread": {"group": "g", "by": "zone", "most": 1}}, "default", "it")
    assert task.spread == Spread(group="g", by="zone", most=1)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("g", {"group": "g"}),
        ("g,by=zone", {"group": "g", "by": "zone"}),
        ("g, by=labels.rack, most=2", {"group": "g", "by": "labels.rack", "most": 2}),
    ],
)
def test_a_group_is_said_in_one_option(said: str, meant: dict[str, object]) -> None:
    assert _spread(said) == meant


@pytest.mark.parametrize("said", ["g,most=two", "g,zone", "g,per=zone"])
def test_what_says_no_group_says_how_to(said: str) -> None:
    with pytest.raises(ConfigurationError, match="--spread"):
        _spread(said)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{oops", "line 2 is no JSON"),
        (b"[]", "line 2 is no JSON object"),
        (b'{"priority": 12, "slots": "x"}', "line 2: .*priority"),
        (b'{"type": "status_update"}', "line 2 has the type status_update"),
        (b'{"fleet": "other"}', "line 2 is for the fleet 'other'"),
        (b'{"prioritty": 1}', "line 2: a task has no prioritty"),
    ],
)
def test_a_line_that_is_no_task_is_named_with_its_fault(line: bytes, complaint: str) -> None:
    tasks = tasks_from_lines([b"{}", line], "default")
    next(tasks)
    with pytest.raises(ConfigurationError, match=complaint):
        next(tasks)


def test_a_fault_in_the_lines_says_what_was_submitted_before_it() -> None:
    lines = [b"{}"] * 5 + [b"{oops"]
    parts = _chunks(tasks_from_lines(lines, "default"), 2)
    assert [len(next(parts)), len(next(parts))] == [2, 2]
    with pytest.raises(
        ConfigurationError, match=r"line 6 is no JSON.*; the first 4 tasks were submitted, no other"
    ):
        next(parts)
    with pytest.raises(ConfigurationError, match="nothing was submitted"):
        next(_chunks(tasks_from_lines(lines, "default"), 500))
