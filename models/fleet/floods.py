"""A flood of alerts tells nobody anything: of each kind only so many go out a minute, then how many there were.

A thousand tasks that fail for one reason are one thing to know. So of one kind of alerts a fleet raises at most
``alert_burst`` within ``alert_throttle``; when that has passed, one alert says how many more there would have
been. Whoever wants every single one has the log and the results, which tell each of these things, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.fleet.state import FleetState
    from models.fleet.step import Step

_ALWAYS = frozenset({"rejected", "alerts_withheld"})
"""Submitters learn of rejections from their alerts, which are seldom repeated anyway."""


def may_tell(step: Step, fleet: FleetState, kind: str) -> bool:
    """Whether an alert of this kind is to go out now; it is counted in any case."""
    if kind in _ALWAYS:
        return True
    row = fleet.row
    if step.now >= row.told_since + fleet.policy.alert_throttle:
        _say_withheld(step, fleet)
        row.told_since = step.now
    count = row.told[kind] = row.told.get(kind, 0) + 1
    step.state.touch_fleet(fleet)
    if count <= fleet.policy.alert_burst:
        return True
    if not row.flood_until:
        row.flood_until = row.told_since + fleet.policy.alert_throttle
        step.state.timers.moment(row.flood_until, "flood", fleet.name)
    return False


def review(step: Step, name: str, due: int) -> None:
    """The time is over in which alerts were withheld."""
    fleet = step.state.fleets[name]
    if fleet.row.flood_until == due:
        _say_withheld(step, fleet)


def _say_withheld(step: Step, fleet: FleetState) -> None:
    row = fleet.row
    burst = fleet.policy.alert_burst
    withheld = {kind: row.told[kind] - burst for kind in sorted(row.told) if row.told[kind] > burst}
    since = row.told_since
    row.told = {}
    row.told_since = step.now
    row.flood_until = 0
    step.state.touch_fleet(fleet)
    if withheld:
        details = {"withheld": withheld, "since": since / 1000}
        step.alert(fleet.name, "alerts_withheld", fleet.name, "too_many", details)
