"""Whether the partitions of other workers are read as they are written, judged from what they commit."""

from __future__ import annotations

from streams.ticker import Others


def test_partition_that_is_committed_to_its_end_is_not_behind() -> None:
    assert Others(5.0).behind({1: (7, 7), 2: (0, 0)}, 100.0) == []


def test_what_was_there_at_the_first_look_has_to_be_committed() -> None:
    others = Others(5.0)
    assert others.behind({1: (3, 7)}, 100.0) == [1]
    assert others.behind({1: (6, 9)}, 101.0) == [1]
    assert others.behind({1: (7, 12)}, 102.0) == [], "the rest is younger than we have looked"


def test_owner_may_commit_a_little_late() -> None:
    others = Others(5.0)
    for second in range(60):
        assert others.behind({1: (10 * max(0, second - 4), 10 * second)}, float(second)) == [], second


def test_owner_that_stops_committing_is_behind_after_the_patience() -> None:
    others = Others(5.0)
    verdicts = [others.behind({1: (100, 100 + max(0, second - 10))}, float(second)) for second in range(20)]
    assert verdicts.index([1]) == 16, "what was appended at 11 has had five seconds"
    assert all(verdict == [1] for verdict in verdicts[16:])


def test_silent_partition_without_owner_is_not_behind() -> None:
    others = Others(5.0)
    assert [others.behind({1: (100, 100)}, float(second)) for second in range(9)] == [[]] * 9


def test_partition_that_has_just_become_anothers_is_judged_by_its_end_now() -> None:
    others = Others(5.0)
    others.behind({1: (5, 5)}, 100.0)
    assert others.behind({1: (5, 5), 2: (3, 4)}, 106.0) == [2]
    assert others.behind({1: (5, 5), 2: (4, 4)}, 107.0) == []
