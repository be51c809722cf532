"""Whether the partitions of other workers are read as they are written, judged from what they commit."""

from __future__ import annotations

from collections.abc import Mapping

from streams.ticker import Others


class Watched(Others):
    """With the patience of a worker, and less to write."""

    def __init__(self) -> None:
        super().__init__(patience=5.0, given_up_after=30.0)

    def at(self, now: float, progress: Mapping[int, tuple[int, int]] | None) -> list[int]:
        return self.behind([1] if progress is None else sorted(progress), progress, now)


def test_partition_that_is_committed_to_its_end_is_not_behind() -> None:
    assert Watched().at(100.0, {1: (7, 7), 2: (0, 0)}) == []


def test_what_was_there_at_the_first_look_has_to_be_committed() -> None:
    others = Watched()
    assert others.at(100.0, {1: (3, 7)}) == [1]
    assert others.at(101.0, {1: (6, 9)}) == [1]
    assert others.at(102.0, {1: (7, 12)}) == [], "the rest is younger than we have looked"


def test_owner_may_commit_a_little_late() -> None:
    others = Watched()
    for second in range(60):
        assert others.at(float(second), {1: (10 * max(0, second - 4), 10 * second)}) == [], second


def test_owner_that_stops_committing_is_behind_after_the_patience() -> None:
    others = Watched()
    verdicts = [others.at(float(second), {1: (100, 100 + max(0, second - 10))}) for second in range(20)]
    assert verdicts.index([1]) == 16, "what was appended at 11 has had five seconds"
    assert all(verdict == [1] for verdict in verdicts[16:])


def test_silent_partition_without_owner_is_not_behind() -> None:
    others = Watched()
    assert [others.at(float(second), {1: (100, 100)}) for second in range(9)] == [[]] * 9


def test_partition_that_has_just_become_anothers_is_judged_by_its_end_now() -> None:
    others = Watched()
    others.at(100.0, {1: (5, 5)})
    assert others.at(106.0, {1: (5, 5), 2: (3, 4)}) == [2]
    assert others.at(107.0, {1: (5, 5), 2: (4, 4)}) == []


def test_partition_that_nobody_reads_is_given_up_after_a_while_and_taken_back_when_it_is_read_again() -> None:
    others = Watched()
    verdicts = [others.at(float(second), {1: (100, 101 + second)}) for second in range(40)]
    assert verdicts[30] == [1]
    assert verdicts[31] == []
    assert [others.at(40.0, {1: (101, 150)}), others.newly_given_up] == [[1], []], "somebody reads it"
    assert others.at(41.0, {1: (150, 151)}) == []


def test_slow_reader_that_makes_progress_is_waited_for_however_long_it_takes() -> None:
    others = Watched()
    assert all(others.at(float(second), {1: (second, 1_000 + 2 * second)}) == [1] for second in range(600))


def test_giving_up_is_told_once() -> None:
    others = Watched()
    told = []
    for second in range(60):
        others.at(float(second), {1: (0, 5)})
        told += others.newly_given_up
    assert told == [1]


def test_unknown_progress_holds_ticks_back_but_not_for_ever() -> None:
    others = Watched()
    assert [others.at(float(second), None) for second in range(31)] == [[1]] * 31
    assert others.at(31.0, None) == []


def test_after_unknown_progress_nothing_old_is_compared_with() -> None:
    others = Watched()
    others.at(0.0, {1: (5, 5)})
    for second in range(1, 20):
        others.at(float(second), None)
    assert others.at(20.0, {1: (5, 9)}) == [1]
