"""A fleet's policy: whole or in patches, bounded, and the same after a trip over the wire."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.codec import InvalidRecord, encode
from models.objective import Weights
from models.policy import DEFAULT_POLICY, Policy, patched, policy_to_wire


def test_defaults_are_within_their_own_bounds() -> None:
    assert patched(DEFAULT_POLICY, policy_to_wire(DEFAULT_POLICY), 0) == DEFAULT_POLICY


def test_durations_are_seconds_on_the_wire_and_milliseconds_inside() -> None:
    policy = patched(DEFAULT_POLICY, {"reject_cooldown": 1.5, "windows": {"size": 60}}, 1)
    assert policy.reject_cooldown == 1_500
    assert policy.windows.size == 60_000
    assert policy_to_wire(policy)["reject_cooldown"] == 1.5


def test_patch_changes_only_what_it_names_and_null_restores_the_default() -> None:
    first = patched(DEFAULT_POLICY, {"deliveries": 3, "windows": {"size": 5, "max_skew": 1}}, 1)
    second = patched(first, {"windows": {"size": None}, "alert_throttle": 5}, 2)
    assert (second.deliveries, second.alert_throttle, second.version) == (3, 5_000, 2)
    assert second.windows.size == DEFAULT_POLICY.windows.size
    assert second.windows.max_skew == 1_000
    assert patched(second, {"windows": None}, 3).windows == DEFAULT_POLICY.windows


def test_version_within_a_whole_policy_is_not_read() -> None:
    assert patched(DEFAULT_POLICY, {**policy_to_wire(DEFAULT_POLICY), "version": 77}, 5).version == 5


def test_weights_of_the_objective_and_of_tenants_are_patched_one_by_one() -> None:
    first = patched(DEFAULT_POLICY, {"planning": {"tenants": {"x": 3, "y": 2}, "objective": {"load": 0}}}, 1)
    second = patched(first, {"planning": {"tenants": {"x": None, "z": 5}}}, 2)
    assert second.planning.tenants == {"y": 2, "z": 5}
    assert second.planning.objective == Weights(load=0)
    for wrong in (
        {"objective": {"lode": 1}},
        {"objective": {"load": -1}},
        {"tenants": {"x": 0}},
        {"ageing": 0},
    ):
        with pytest.raises(InvalidRecord, match=r"policy\.planning\."):
            patched(DEFAULT_POLICY, {"planning": wrong}, 1)


def test_tick_interval_is_no_matter_of_policy() -> None:
    assert Policy.tick_interval == 1_000
    with pytest.raises(InvalidRecord, match="tick_interval"):
        patched(DEFAULT_POLICY, {"tick_interval": 5}, 1)


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        ({"windws": {}}, "windws"),
        ({"windows": {"length": 1}}, "windows.length"),
        ({"windows": {"size": 0}}, "windows.size"),
        ({"windows": {"size": "10"}}, "windows.size"),
        ({"windows": 10}, "windows"),
        ({"deliveries": 0}, "deliveries"),
        ({"deliveries": True}, "deliveries"),
        ({"register_unknown_agents": "yes"}, "register_unknown_agents"),
        ({"liveness": {"suspect_max": 60}}, "suspect_"),
        ({"liveness": {"lost_pause": 1}}, "suspect_"),
        ({"liveness": {"phi": 0}}, "liveness.phi"),
        ({"retry": {"factor": 0.5}}, "retry.factor"),
    ],
)
def test_fault_in_a_policy_is_refused_by_name(patch: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidRecord, match=named) as caught:
        patched(DEFAULT_POLICY, patch, 1)
    assert caught.value.code == "schema"


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidRecord) as caught:
        patched(DEFAULT_POLICY, {"deliveries": 0, "windows": {"size": -1}, "nonsense": 1}, 1)
    for name in ("deliveries", "windows.size", "nonsense"):
        assert name in caught.value.detail


@given(size=st.integers(100, 86_400_000), cooldown=st.integers(0, 10**9), deliveries=st.integers(1, 10**6))
@settings(max_examples=50, derandomize=True)
def test_policy_survives_the_wire_to_the_byte(size: int, cooldown: int, deliveries: int) -> None:
    patch = {"windows": {"size": size / 1000}, "reject_cooldown": cooldown / 1000, "deliveries": deliveries}
    policy = patched(DEFAULT_POLICY, patch, 9)
    assert (policy.windows.size, policy.reject_cooldown) == (size, cooldown)
    again = patched(DEFAULT_POLICY, policy_to_wire(policy), 9)
    assert again == policy
    assert encode(policy_to_wire(again)) == encode(policy_to_wire(policy))
