"""Policy changes: the fleet fold accepts them, and tells every ingress fold at which place in its own log."""

from __future__ import annotations

from models.codec import InvalidRecord, encode
from models.events import PolicyChanged
from models.fleet.rows import Outcome
from models.fleet.state import FleetState
from models.fleet.step import Step
from models.fold import Output
from models.outputs import cloud_event
from models.policy import patched


def change(step: Step, fleet: FleetState, event: PolicyChanged) -> Outcome:
    if event.version <= fleet.policy.version:
        details: dict[str, object] = {"version": event.version, "current": fleet.policy.version}
        return step.reject(fleet, "stale_policy", fleet.name, details)
    try:
        policy = patched(fleet.policy, event.policy, event.version)
    except InvalidRecord as error:
        return step.reject(fleet, "invalid_policy", fleet.name, {"detail": error.detail[:1024]})
    step.state.govern(fleet, policy)
    value = encode(
        {
            "type": "policy_accepted",
            "fleet": fleet.name,
            "policy": fleet.row.policy,
            "version": policy.version,
        }
    )
    identity = f"{fleet.name}.{step.offset}.policy"
    headers = cloud_event("policy_accepted", identity, fleet.name, fleet.name, step.now, fleet.name)
    for partition in range(step.state.events_partitions):
        step.put_out("policy_accepted", Output("events", fleet.name.encode(), value, headers, partition))
    return "applied"
