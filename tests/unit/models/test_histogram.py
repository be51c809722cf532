"""Quantiles of whole numbers, to an eighth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import histogram

numbers = st.one_of(st.integers(0, 40), st.integers(0, 1 << 60))


@settings(deadline=None)
@given(numbers)
def test_a_number_is_in_its_bucket_which_is_no_wider_than_an_eighth_of_it(value: int) -> None:
    bucket = histogram.bucket_of(value)
    least = histogram.greatest(bucket - 1) + 1 if bucket else 0
    assert least <= value <= histogram.greatest(bucket) <= value + value // 8


@settings(deadline=None)
@given(st.lists(numbers, min_size=1), st.sampled_from([1, 500, 990, 1000]))
def test_a_quantile_is_the_nearest_rank_and_at_most_an_eighth_above(
    values: list[int], per_mille: int
) -> None:
    counts: histogram.Histogram = {}
    for value in values:
        histogram.add(counts, value)
    true = sorted(values)[-(-len(values) * per_mille // 1000) - 1]
    assert true <= histogram.quantile(counts, per_mille) <= true + true // 8


def test_of_nothing_every_quantile_is_zero() -> None:
    assert histogram.quantile({}, 990) == 0


def test_what_fades_counts_for_half_and_in_the_end_for_nothing() -> None:
    counts: histogram.Histogram = {}
    for value in [5] * 8 + [1000]:
        histogram.add(counts, value)
    histogram.fade(counts)
    assert counts == {5: 4}
    assert histogram.size(counts) == 4


@pytest.mark.parametrize("value", [-1, -(1 << 40)])
def test_a_negative_number_counts_as_zero(value: int) -> None:
    assert histogram.bucket_of(value) == 0
