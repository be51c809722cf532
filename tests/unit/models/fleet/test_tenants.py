"""How tenants share: numbers alone; that the planner goes by them stands in its own tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.fleet.tenants import _TOO_MUCH, MAX_GIVEN, begin_to_wait, note_given, serve
from tests.unit.models.fleet.log import FleetLog

names = st.sampled_from(["", "x", "y", "z"])


@given(st.dictionaries(names, st.integers(0, _TOO_MUCH)), names, st.sets(names))
def test_who_begins_to_wait_is_level_with_the_least_served_of_those_who_wait(
    served: dict[str, int], tenant: str, waiting: set[str]
) -> None:
    before = served.get(tenant, 0)
    least = min((served.get(other, 0) for other in waiting), default=0)
    begin_to_wait(served, tenant, sorted(waiting))
    assert served.get(tenant, 0) == max(before, least)


@given(st.dictionaries(names, st.integers(0, _TOO_MUCH), min_size=1), names, st.integers(1, 1 << 50))
def test_whatever_is_served_stays_a_number_that_can_be_stored_and_nobody_overtakes(
    served: dict[str, int], tenant: str, share: int
) -> None:
    before = {**served, tenant: served.get(tenant, 0) + share}
    serve(served, tenant, share)
    assert all(0 <= amount < 1 << 63 for amount in served.values())
    order = sorted(before, key=lambda name: before[name])
    assert [served[name] for name in order] == sorted(served.values())


def test_a_tenant_without_tasks_is_forgotten() -> None:
    log = FleetLog()
    log.agent(slots=3)
    log.task("t1", tenant="x")
    log.task("t2", tenant="y", size=5, slots=2)
    directives = log.place().directives()
    served = log.fold.state.fleets["default"].row.served
    assert served == {"x": 10**9, "y": 10**10}
    log.answer(directives[0], "completed")
    assert served.keys() == {"y"}


def test_what_tenants_were_given_is_remembered_of_so_many_and_no_more() -> None:
    known: dict[str, int] = {}
    for number in range(MAX_GIVEN + 5):
        note_given(known, f"t{number}", 1)
    note_given(known, "t0", 2)
    assert len(known) == MAX_GIVEN
    assert known["t0"] == 3
