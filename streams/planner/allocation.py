"""How what a fleet has should be divided among tenants: weighted max-min fairness within quotas.

Nobody can be given more but at the cost of somebody who has less for its weight (Bertsekas and Gallager, *Data
Networks*, 1992, section 6.5). First what tenants hold and want is divided so. What is left then is headroom,
divided likewise: an allocation is a limit, and who wants nothing now may want something soon. Whole numbers
throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.fleet import FleetFold
from models.fleet.pools import NOBODY, Pool, Use, pools
from models.fleet.quotas import SLOTS
from models.fleet.rows import MICRO
from models.policy import DEFAULT_POLICY, PlanningPolicy


def max_min(
    capacity: int, wants: Mapping[str, int], weights: Mapping[str, int], unit: int = 1
) -> dict[str, int]:
    """Divide ``capacity`` among those who want some of it.

    Args:
        capacity: What there is.
        wants: The most that each is given.
        weights: Of each; 1 for those that are not named.
        unit: Shares that are less than what is wanted are multiples of it.
    """
    shares = dict.fromkeys(sorted(wants), 0)
    hungry = [name for name in shares if wants[name] > 0]
    left = capacity
    while hungry:
        total = sum(weights.get(name, 1) for name in hungry)
        content = [name for name in hungry if wants[name] * total <= left * weights.get(name, 1)]
        if not content:
            for name in hungry:
                shares[name] = left * weights.get(name, 1) // total // unit * unit
            left -= sum(shares[name] for name in hungry)
            for name in hungry:  # what rounding left over, by name
                if left >= unit and shares[name] + unit <= wants[name]:
                    shares[name] += unit
                    left -= unit
            break
        for name in content:
            shares[name] = wants[name]
            left -= wants[name]
        hungry = [name for name in hungry if name not in content]
    return shares


def allocate(name: str, pool: Pool, planning: PlanningPolicy) -> dict[str, int]:
    """The part of a pool that each tenant should have at the most, in millionths.

    No more than there is in all, but that each has what one of its tasks needs: a smaller part would be none, and
    an allocation is in force until the next one.
    """
    limited = (tenant for tenant, granted in planning.quotas.items() if name in granted)
    tenants = sorted({*pool.tenants, *planning.tenants, *limited})
    unit = MICRO if name == SLOTS else 1
    capacity = pool.capacity // unit * unit
    quotas = {t: round(planning.quotas.get(t, {}).get(name, capacity / MICRO) * MICRO) for t in tenants}
    most = {tenant: min(quotas[tenant], capacity) // unit * unit for tenant in tenants}
    wants = {t: min(pool.tenants[t].demand if t in pool.tenants else 0, most[t]) for t in tenants}
    shares = max_min(capacity, wants, planning.tenants, unit)
    headroom = max_min(
        capacity - sum(shares.values()),
        {tenant: most[tenant] - shares[tenant] for tenant in tenants},
        planning.tenants,
        unit,
    )
    least = {tenant: min(pool.tenants[tenant].largest, quotas[tenant]) for tenant in pool.tenants}
    return {tenant: max(shares[tenant] + headroom[tenant], least.get(tenant, 0)) for tenant in tenants}


def resources(fold: FleetFold, fleet_name: str) -> dict[str, Any]:
    """What there is, who has it and how it should be divided, as JSON values.

    ``pools`` has for each resource ``capacity``, ``held``, ``wanted`` and the ``tenants``: ``held``, ``wanted``,
    ``quota`` and ``allocation`` in force, ``proposed``. ``patch`` is the policy patch that puts what is proposed
    into force, ``null`` if nothing would change, and ``version`` the one that the policy would have then.
    """
    fleet = fold.state.fleets.get(fleet_name)
    planning = DEFAULT_POLICY.planning if fleet is None else fleet.policy.planning
    found = {} if fleet is None else pools(fleet)
    shown: dict[str, Any] = {}
    proposed: dict[str, dict[str, float]] = {}
    for name, pool in found.items():
        # Where nobody who has some gets work now, which need not remain so, nothing is proposed.
        shares = allocate(name, pool, planning) if pool.capacity else {}
        tenants = {tenant: _shown(planning, tenant, name, pool.of(tenant), None) for tenant in pool.tenants}
        for tenant, share in shares.items():
            tenants[tenant] = _shown(planning, tenant, name, pool.of(tenant), share)
            if tenant != NOBODY:
                proposed.setdefault(tenant, {})[name] = share / MICRO
        shown[name] = {
            "capacity": pool.capacity / MICRO,
            "held": sum(use.held for use in pool.tenants.values()) / MICRO,
            "wanted": sum(use.wanted for use in pool.tenants.values()) / MICRO,
            "tenants": dict(sorted(tenants.items())),
        }
    return {
        "fleet": fleet_name,
        "pools": shown,
        "patch": _patch(planning, proposed),
        "version": (0 if fleet is None else fleet.policy.version) + 1,
    }


def _shown(
    planning: PlanningPolicy, tenant: str, name: str, use: Use, share: int | None
) -> dict[str, float | None]:
    return {
        "held": use.held / MICRO,
        "wanted": use.wanted / MICRO,
        "quota": planning.quotas.get(tenant, {}).get(name),
        "allocation": planning.allocations.get(tenant, {}).get(name),
        "proposed": None if share is None else share / MICRO,
    }


def _patch(planning: PlanningPolicy, proposed: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
    """From the allocations in force to those that are proposed: a merge patch, in which ``null`` takes away."""
    changes: dict[str, Any] = {}
    for tenant in sorted({*planning.allocations, *proposed}):
        now, then = planning.allocations.get(tenant, {}), proposed.get(tenant)
        if then is None:
            changes[tenant] = None
        elif dict(now) != dict(then):
            changes[tenant] = {**dict.fromkeys(sorted(now.keys() - then.keys())), **then}
    return {"planning": {"allocations": changes}} if changes else None
