"""Conditions on a fleet's state, and the record at which they come true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fleet import FleetFold
from models.fold import Record
from models.partition import partition_of
from streams.audit.bisect import Found, Seeker, last_false
from streams.audit.moments import InLog
from streams.audit.past import Log, Past, heard
from streams.audit.predicate import NAMES, Predicate
from streams.audit.snapshots import NO_SNAPSHOTS, Snapshots
from streams.errors import ConfigurationError
from streams.offsets import Start
from tests.unit.models.fleet.log import FleetLog
from tests.unit.streams.audit.recorded import FLEETS, Recorded, lived


@pytest.fixture(scope="module")
def fleet() -> FleetFold:
    log = FleetLog()
    log.agent("a1", slots=2, labels={"tier": "gold"}, capabilities=["cut", "weld"])
    log.answer(log.run("t1"), "completed")
    log.run("t2")
    log.task("t3")
    log.fact("task_cancelled", task_id="nobody")
    return log.fold


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('task["t1"].state == "completed"', True),
        ('task["t2"].agent_id == "a1" and task["t3"].state == "pending"', True),
        ('task["t9"] is None and task["t9"].state == None', True),
        ('task["t9"].state != "failed"', True),
        ('task["t9"].epoch > 0 or task["t9"].epoch <= 0', False),
        ('agent["a1"].labels.tier == "gold"', True),
        ('"weld" in agent["a1"].capabilities and "fly" not in agent["a1"].capabilities', True),
        ('agent["a1"].capabilities[-1] == "weld" and agent["a1"].capabilities[7] is None', True),
        ('len(agent["a1"].capabilities) == 2', True),
        ("pending == 1 and live == 2 and submitted == 3 and completed == 1", True),
        ("pending", True),
        ("not pending", False),
        ("failed", False),
        ("0 < pending < 2", True),
        ("0 < pending < 1", False),
        ("completed / submitted > 0.33 and completed / 0 is None", True),
        ("pending - 2 == -1 and 2 * pending + 1 == 3", True),
        ('rejections["unknown_task"] == 1', True),
        ('rejections["other"] > 0', False),
        ('summary.agents.registered == 1 and summary["tasks"].pending == pending', True),
        ('task["t1"].state in ["failed", "cancelled"]', False),
        ('"x" < 3', False),
        ("3 in 4", False),
        ("offset > 3 and time > 1.7e9 and registered == 1 and policy_version >= 0", True),
        ("True and not False", True),
    ],
)
def test_conditions(fleet: FleetFold, text: str, holds: bool) -> None:
    assert Predicate(text)(fleet, "default") is holds


def test_every_name_is_there_for_a_fleet_that_nobody_knows() -> None:
    fold = FleetFold(0, 1)
    for name in NAMES:
        assert Predicate(f"{name} == {name} or True")(fold, "nobody")
        assert not Predicate(f'{name}["x"].y.z > 0')(fold, "nobody")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("task[", "is no condition"),
        ("", "is no condition"),
        ("pending = 3", "is no condition"),
        ("pendng > 3", "nothing is called 'pendng'; there are agent, "),
        ("__import__('os')", "more than a condition may say"),
        ("().__class__()", "more than a condition may say"),
        ("[x for x in task]", "more than a condition may say"),
        ("lambda: 1", "more than a condition may say"),
        ("2 ** 99999999", "more than a condition may say"),
        ("len(pending, 2)", "more than a condition may say"),
        ("f'{pending}'", "more than a condition may say"),
        ("1 if pending else 0", "more than a condition may say"),
        ("-" * 20_000 + "1", "characters"),
        ("(" * 4_000 + "1" + ")" * 4_000, "is no condition"),
        ("1" + "+1" * 4_000, "is no condition"),
    ],
)
def test_what_is_no_condition_is_told(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Predicate(text)
    assert complaint in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=40),
    st.sampled_from([*NAMES, '"a"', "1"]),
    st.sampled_from(["<", "==", "in", "+", ".", "["]),
)
def test_no_text_whatever_does_anything_but_say_yes_no_or_what_is_wrong(
    text: str, name: str, how: str
) -> None:
    fold = FleetFold(0, 1)
    for whole in (text, f"{name} {how} {text}", f"{text} {how} {name}", f"{name} {how} {name}"):
        try:
            predicate = Predicate(whole)
        except ConfigurationError:
            continue
        assert predicate(fold, "default") in (True, False)


@pytest.fixture(scope="module")
def history() -> Recorded:
    return lived(seed=4, seconds=60)


def sought(
    history: Recorded, text: str, first: int = 0, snapshots: Snapshots = NO_SNAPSHOTS, monotone: bool = False
) -> tuple[Past, Found | None]:
    seekers: list[Seeker] = []
    predicate = Predicate(text)

    async def seek() -> Past:
        log = await Log.of(history, "north")
        start = last_false(log, snapshots, predicate, first, log.extent.end) if monotone else first

        def listening(fold: FleetFold) -> Callable[[Sequence[Record]], object]:
            seekers.append(Seeker(fold, "north", predicate, start))
            return seekers[-1].hear

        return await heard(log, InLog(Start("end")), listening, snapshots=snapshots, since=start)

    past = asyncio.run(seek())
    seekers[-1].end()
    return past, seekers[-1].found


def first_by_hand(history: Recorded, holds: Callable[[FleetFold], bool], first: int = 0) -> int | None:
    partition = partition_of(b"north", FLEETS)
    fold = FleetFold(partition, 2)
    for record in history.topics["fleet", partition]:
        fold.fold([record])
        if record.offset >= first and holds(fold):
            return record.offset
    return None


@pytest.mark.parametrize("first", [0, 50])
def test_the_first_record_after_which_it_holds_is_found(history: Recorded, first: int) -> None:
    past, found = sought(history, "completed >= 9 and pending == 0", first)
    expected = first_by_hand(
        history,
        lambda fold: (
            fold.state.fleets["north"].row.completed >= 9 and not fold.state.fleets["north"].pending
            if "north" in fold.state.fleets
            else False
        ),
        first,
    )
    assert found is not None
    assert found.record is not None
    assert found.record.offset == expected
    assert past.cut.get(past.place) == found.record.offset + 1
    assert past.fold.state.fleets["north"].row.completed >= 9


def test_what_was_put_out_because_of_that_record_is_told(history: Recorded) -> None:
    _, found = sought(history, "assignments == 3")
    assert found is not None
    assert any(output.topic == "directives" for output in found.outputs)


def test_what_held_before_is_told_as_such(history: Recorded) -> None:
    past, found = sought(history, "completed >= 9", 333)
    assert (found, past.cut.get(past.place)) == (Found(None), 333)


def test_what_holds_nowhere_is_not_found(history: Recorded) -> None:
    past, found = sought(history, "completed > 1000")
    assert found is None
    assert past.cut.get(past.place) == past.fold.state.clock.offset + 1


def test_where_there_is_nothing_to_look_at_the_state_there_is_asked(history: Recorded) -> None:
    end = history.topics["fleet", partition_of(b"north", FLEETS)][-1].offset + 1
    assert sought(history, "completed > 9", end)[1] == Found(None)
    assert sought(history, "completed > 1000", end)[1] is None


@pytest.mark.parametrize("completed", [1, 7, 20, 33, 1000])
def test_halving_over_snapshots_finds_the_same(history: Recorded, tmp_path: Path, completed: int) -> None:
    snapshots = Snapshots(tmp_path, every=60)
    text = f"completed >= {completed}"
    plain = sought(history, text, snapshots=snapshots)
    quick = sought(history, text, snapshots=snapshots, monotone=True)
    assert quick[1] == plain[1]
    assert quick[0].cut == plain[0].cut
    assert quick[0].folded <= plain[0].folded
    if completed == 33:
        assert quick[0].folded < 130


def test_a_snapshot_that_was_harmed_is_left_out_when_halving(history: Recorded, tmp_path: Path) -> None:
    told: list[str] = []
    snapshots = Snapshots(tmp_path, every=60, told=told.append)
    plain = sought(history, "completed >= 20", snapshots=snapshots)
    for path in sorted(tmp_path.rglob("*.snapshot"))[1::2]:
        path.write_bytes(b"")
    assert sought(history, "completed >= 20", snapshots=snapshots, monotone=True)[1] == plain[1]
    assert told
