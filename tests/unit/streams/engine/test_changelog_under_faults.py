"""Whatever crashes, tears and zombies do to a changelog, it gives the state at the last valid mark."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.streams.engine.changelog_world import Events, World

LONG = bool(os.environ.get("COORDINATOR_LONG_TESTS"))

EVENTS = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.none() | st.integers(0, 9).map(lambda n: b"%d" % n)),
    min_size=1,
    max_size=4,
)
PART = st.sampled_from([1.0, 0.5, 0.0])


class Faults(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @precondition(lambda self: self.world.owner)
    @rule(events=EVENTS)
    def fold(self, events: Events) -> None:
        self.world.fold(events)

    @precondition(lambda self: self.world.owner)
    @rule(zombie_after=st.none() | st.integers(0, 3), zombie_part=PART)
    def checkpoint(self, zombie_after: int | None, zombie_part: float) -> None:
        self.world.checkpoint(zombie_after, zombie_part)

    @precondition(lambda self: self.world.owner)
    @rule(part=PART)
    def crash_in_a_checkpoint_and_restart(self, part: float) -> None:
        self.world.tear(part)
        self.world.take_over()

    @precondition(lambda self: self.world.owner and len(self.world.zombies) < 3)
    @rule()
    def pause_and_take_over(self) -> None:
        self.world.pause()
        self.world.take_over()

    @precondition(lambda self: self.world.zombies)
    @rule(events=EVENTS, part=PART)
    def zombie_wakes(self, events: Events, part: float) -> None:
        self.world.fold(events, self.world.zombies[0])
        self.world.zombie_writes(part)

    @precondition(lambda self: self.world.safe_to_compact)
    @rule(half=st.booleans())
    def compact(self, half: bool) -> None:
        self.world.compact(self.world.safe_to_compact // (2 if half else 1))

    @invariant()
    def the_log_gives_the_state_at_the_last_valid_mark(self) -> None:
        self.world.check()


def test_the_next_owner_repairs_what_a_zombie_wrote_between_a_row_and_its_mark() -> None:
    """The zombie's row is the last one of its key, so compaction would remove the one that counts."""
    world = World()
    world.fold([(b"a", b"0")])
    world.pause()
    world.take_over()
    world.fold([(b"a", b"0")])
    world.checkpoint(zombie_after=1)
    world.pause()
    world.take_over()
    world.checkpoint()
    world.compact(world.safe_to_compact)
    world.check()


Faults.TestCase.settings = settings(
    max_examples=20_000 if LONG else 200, stateful_step_count=40, deadline=None
)
TestChangelogUnderFaults = Faults.TestCase
