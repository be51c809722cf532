"""When silence means suspicion, and when loss; and which agents are due to be looked at.

The measure is the phi-accrual failure detector (Hayashibara et al., SRDS 2004): phi is -log10 of the chance
that a living agent is silent for so long, given the rhythm of its past events, taken as normally distributed.
Instead of phi for each silence we compute once which silence reaches the policy's phi: with the logistic
approximation of the normal distribution that Akka uses, ``P(later) = e / (1 + e)`` where
``e = exp(-y * (1.5976 + 0.070566 * y * y))`` and ``y = (silence - mean) / std``, phi is reached when

    y * (1.5976 + 0.070566 * y^2) = phi * ln 10          (e / (1 + e) = e but for 10^-phi of it)

so ``silence = mean + pause + y * std``. Only ``+ - * /`` and the square root touch floats, which IEEE 754
rounds alike on every machine: replaying gives the same tick, always.

Silence itself is counted in ticks, so while nobody ticks nobody dies.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, sqrt

from models.events import DEFAULT_HEARTBEAT_INTERVAL
from models.fold import Table
from models.ingress.fleets import Fleets, FleetState
from models.ingress.outbox import Outbox
from models.ingress.rows import AgentRow, ClockRow, names_of
from models.policy import TICK_INTERVAL, LivenessPolicy

_LN_10 = 2.302585092994046
LONGEST_GAP = 10
"""Heartbeat intervals: a longer gap is learned as this one, or a single outage would blur the rhythm."""

MAY_BE_SILENT = ("offline", "error")
"""Agents of these statuses are not watched."""


@lru_cache(256)
def deviations(phi: float) -> float:
    """How many standard deviations of silence reach ``phi``: the root of the cubic above, by Newton's method.

    The cubic rises and is convex for positive ``y``; from above the root the iteration falls straight to it.
    """
    target = phi * _LN_10
    y = target / 1.5976
    for _ in range(32):
        y -= (y * (1.5976 + 0.070566 * y * y) - target) / (1.5976 + 3 * 0.070566 * y * y)
    return y


def thresholds(policy: LivenessPolicy, interval: int, mean: float, variance: float) -> tuple[int, int]:
    """Milliseconds of silence after which an agent of such a rhythm is suspected, and lost.

    ``interval`` is the heartbeat interval that it announced. It may always be silent for that long, however
    often it spoke before; and with a longer one than the default, pauses and bounds grow in proportion.
    """
    scale = max(1.0, interval / DEFAULT_HEARTBEAT_INTERVAL)
    usual = max(float(interval), mean)
    usual += deviations(policy.phi) * max(policy.min_std * scale, sqrt(variance))
    suspect = min(usual + policy.suspect_pause * scale, policy.suspect_max * scale)
    lost = min(usual + policy.lost_pause * scale, policy.lost_max * scale)
    return ceil(suspect), ceil(lost)


def beat(row: AgentRow, log_time: int, ticks: int, memory: int) -> None:
    """The agent said something: learn its rhythm, end its silence.

    Mean and variance are exponentially weighted over ``memory`` gaps (plain averages until there are as many).
    Records of one producer batch share an append time; the gaps of zero between them say nothing, and neither
    does the absence of who said so or was lost.
    """
    gap = log_time - row.beat_time
    row.beat_tick = ticks
    if gap <= 0:
        return
    row.beat_time = log_time
    if (row.state != "alive" and row.state != "suspected") or row.status in MAY_BE_SILENT:
        return
    beats = row.beats
    if beats < memory:
        row.beats = beats = beats + 1
    elif beats > memory:  # a policy has shortened it
        row.beats = beats = memory
    longest = LONGEST_GAP * row.heartbeat_interval
    difference = (gap if gap < longest else longest) - row.gap_mean
    # The announced interval counts as a first gap, hence + 1.
    step = difference / (beats + 1)
    row.gap_mean += step
    row.gap_variance = (row.gap_variance + difference * step) * (beats / (beats + 1))


def silence_of(row: AgentRow, clock: ClockRow) -> int:
    """Counted silence in milliseconds; never more than the log time since the agent's last event."""
    return min((clock.ticks - row.beat_tick) * TICK_INTERVAL, clock.log_time - row.beat_time)


def is_watched(row: AgentRow) -> bool:
    """Whether its silence means anything: who said that it is offline or broken may be silent."""
    return row.state in ("alive", "suspected") and row.status not in MAY_BE_SILENT


class Watch:
    """Looks at each tick only at the agents whose silence could matter, and says what became of them.

    A timing wheel, derived from the rows: for each tick the agents to look at then. A beat does not move an
    agent in it; when its turn comes, it is looked at and put further on. What counts is that nobody's turn
    comes later than the first tick at which it could be due, whatever happens until then. For then the wheel
    after a restart, which has other turns, finds the same agents due at the same ticks.
    """

    def __init__(
        self, agents: Table[AgentRow], clock: Table[ClockRow], fleets: Fleets, outbox: Outbox
    ) -> None:
        self._agents = agents
        self._clock = clock
        self._fleets = fleets
        self._outbox = outbox
        self._turns: dict[str, int] = {}
        self._wheel: dict[int, dict[str, None]] = {}
        self._least: dict[tuple[str, int], int] = {}
        self.deregistered = 0
        """Agents that said goodbye; whoever lets one go or come back counts it here."""

    @property
    def watched(self) -> int:
        """Agents whose silence would mean something."""
        return len(self._turns)

    def rebuild(self) -> None:
        """Derive everything anew: after a restart, and when a policy has changed."""
        self._turns.clear()
        self._wheel.clear()
        self._least.clear()
        self.deregistered = 0
        following_tick = self._clock.rows[""].ticks + 1
        turns, wheel = self._turns, self._wheel
        rhythm: tuple[FleetState, int] | None = None
        for fleet, key, row in self._fleets.members(self._agents):
            if not is_watched(row):
                if row.state == "deregistered":
                    self.deregistered += 1
                continue
            # What ``_plan`` does, but the least silence is looked up for each run of agents that share it.
            if rhythm is None or rhythm[0] is not fleet or rhythm[1] != row.heartbeat_interval:
                rhythm = fleet, row.heartbeat_interval
                least = self._least_silence(fleet, row)
            turn = row.beat_tick + least
            if turn < following_tick:
                turn = following_tick
            turns[key] = turn
            spoke = wheel.get(turn)
            if spoke is None:
                spoke = wheel[turn] = {}
            spoke[key] = None

    def follow(self, key: str, row: AgentRow) -> None:
        """Plan the next look at an agent: after it appeared, changed its rhythm or status, or had its turn."""
        if not is_watched(row):
            self._turns.pop(key, None)
            return
        self._plan(self._fleets.of(key), key, row, self._clock.rows[""].ticks + 1)

    def _plan(self, fleet: FleetState, key: str, row: AgentRow, following_tick: int) -> None:
        # However regular it becomes, it is not due before the least silence after its last beat so far.
        turn = max(following_tick, row.beat_tick + self._least_silence(fleet, row))
        self._turns[key] = turn
        self._wheel.setdefault(turn, {})[key] = None

    def tick(self) -> None:
        """Suspect and lose whoever is due at the tick that just counted."""
        clock = self._clock.rows[""]
        due = []
        for key in self._wheel.pop(clock.ticks, ()):
            if self._turns.get(key) != clock.ticks:
                continue  # It has been put elsewhere since.
            row = self._agents[key]
            if self._silent_for_too_long(key, row, clock):
                due.append(key)
            else:
                self.follow(key, row)
        # The order on the wheel depends on its past, which a restart forgets.
        for key in sorted(due):
            row = self._agents[key]
            while is_watched(row) and self._silent_for_too_long(key, row, clock):
                row.state = "suspected" if row.state == "alive" else "lost"
                self._outbox.liveness(f"agent_{row.state}", *names_of(key), silence_of(row, clock))
            self._agents.touch(key)
            self.follow(key, row)

    def validate(self) -> None:
        """Assert that exactly the watched agents have a turn to come."""
        now = self._clock.rows[""].ticks
        watched = {key for key, row in self._agents.items() if is_watched(row)}
        assert watched == self._turns.keys(), watched ^ self._turns.keys()
        assert self.deregistered == sum(row.state == "deregistered" for _, row in self._agents.items())
        for key, turn in self._turns.items():
            assert turn > now, f"the turn of {key} has passed"
            assert key in self._wheel[turn], f"{key} is not on the wheel"

    def _silent_for_too_long(self, key: str, row: AgentRow, clock: ClockRow) -> bool:
        fleet = self._fleets.of(key)
        if clock.ticks - row.beat_tick < self._least_silence(fleet, row):
            return False  # Nearly always: it has spoken since its turn was planned.
        suspect, lost = thresholds(
            fleet.policy.liveness, row.heartbeat_interval, row.gap_mean, row.gap_variance
        )
        return silence_of(row, clock) >= (suspect if row.state == "alive" else lost)

    def _least_silence(self, fleet: FleetState, row: AgentRow) -> int:
        """Ticks of silence that even the most regular agent of that fleet and interval is forgiven."""
        rhythm = fleet.name, row.heartbeat_interval
        least = self._least.get(rhythm)
        if least is None:
            suspect, _ = thresholds(fleet.policy.liveness, row.heartbeat_interval, 0.0, 0.0)
            least = self._least[rhythm] = max(1, ceil(suspect / TICK_INTERVAL))
        return least
