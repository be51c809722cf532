"""Cuts: one text for each, and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cut import BadCut, Cut, Place

CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
PLACES = st.builds(
    Place, st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True), st.integers(0, 9_999_999_999)
)
CUTS = st.builds(
    Cut.of,
    st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    st.dictionaries(PLACES, st.integers(0, (1 << 63) - 1), min_size=1, max_size=5),
)


@settings(deadline=None)
@given(CUTS)
def test_a_text_stands_for_one_cut(cut: Cut) -> None:
    assert Cut.parse(str(cut)) == cut


def test_the_order_in_which_places_are_named_does_not_matter() -> None:
    cut = Cut.of(CLUSTER, {Place("coordinator.fleet", 0): 1834, Place("coordinator.events", 0): 551})
    assert str(cut) == f"{CLUSTER}:coordinator.events/0@551,coordinator.fleet/0@1834"
    assert Cut.parse(f"{CLUSTER}:coordinator.fleet/0@1834,coordinator.events/0@551") == cut
    assert cut.get(Place("coordinator.fleet", 0)) == 1834
    assert cut.get(Place("coordinator.fleet", 1)) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no place"),
        ("coordinator.fleet/0", "no place"),
        ("coordinator.fleet/0@-1", "no place"),
        ("fleet/0@9223372036854775808", "no place"),
        ("fleet/0@1,fleet/0@2", "twice"),
        ("a b:fleet/0@1", "cannot be the id"),
        ("fleet/0@1,", "no place"),
        (":fleet/0@1", "cannot be the id"),
    ],
)
def test_what_is_no_cut_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadCut, match=complaint):
        Cut.parse(text)
