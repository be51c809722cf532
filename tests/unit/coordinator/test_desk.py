"""What the desk promises: at most one execution, fencing, the same answer again, whatever comes in which order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator._desk import ChangeMode, Desk, Execute, Halt, Reply
from coordinator._store import StateStore
from coordinator.directive import Answer, Coalition, Directive

NOW = 1_800_000_000.0
COALITION = Coalition(id="c1", members=("a1", "a2"), role="lead")


def directive(type_: str = "assign_task", number: int = 1, **fields: object) -> Directive:
    known: dict[str, object] = {"agent_id": "a1", "fleet": "default", "issued_at": NOW, "run_timeout": 60.0}
    if type_ in ("assign_task", "join_coalition"):
        known["expires_at"] = NOW + 60
    if type_.endswith(("_task", "_coalition")):
        known |= {"task_id": "t1", "epoch": 1}
    return Directive(directive_id=f"default.{number}.0", type=type_, **(known | fields))  # type: ignore[arg-type]


@contextmanager
def desk(path: Path | None = None, *, slots: int = 1, registered_at: int = 0) -> Iterator[Desk]:
    store = StateStore(path)
    store.begin("log", NOW)
    try:
        yield Desk(store, "a1", "default", slots=slots, registered_at=registered_at)
    finally:
        store.close()


def receive(at: Desk, offset: int, what: Directive, *, engaged: int = 0, now: float = NOW) -> list[object]:
    return list(at.receive(offset, what, now=now, engaged=engaged))


# -- under every interleaving ---------------------------------------------------------------------------------


@dataclass
class History:
    """What an agent did over several incarnations."""

    executed: list[tuple[str, int]] = field(default_factory=list)
    withdrawn: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    answers: dict[str, Answer] = field(default_factory=dict)
    offset: int = 0

    def deliver(self, at: Desk, what: Directive) -> None:
        floor = self.withdrawn[what.task_id or ""]
        for instruction in receive(at, self.offset, what):
            match instruction:
                case Execute(assignment):
                    assert assignment.epoch > floor, "executed what had been withdrawn"
                    self.executed.append((assignment.task_id or "", assignment.epoch))
                case Reply(_, answer):
                    assert self.answers.setdefault(what.directive_id, answer) == answer
                case Halt(_):
                    self.withdrawn[what.task_id or ""] = max(floor, what.epoch)
        self.offset += 1

    def answer(self, at: Desk, what: Directive) -> None:
        """The author answers, if the directive is open."""
        begun = at._store.find(what.directive_id)
        if begun is None or begun.is_final or begun.incarnation != at._store.incarnation:
            return
        if (what.task_id, what.epoch) in self.executed and what.type == "assign_task":
            self.answers[what.directive_id] = Answer("completed", result=what.directive_id)
            at.answered(what, self.answers[what.directive_id])


def everything(task: str, epoch: int) -> list[Directive]:
    """Two assignments (a coordinator never makes two of one epoch, but a broken one might) and a withdrawal."""
    base = epoch * 10 + (1000 if task == "t2" else 0)
    return [
        directive(number=base, task_id=task, epoch=epoch),
        directive(number=base + 1, task_id=task, epoch=epoch),
        directive("withdraw_task", number=base + 2, task_id=task, epoch=epoch),
    ]


DIRECTIVES = [each for task in ("t1", "t2") for epoch in (1, 2, 3) for each in everything(task, epoch)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.sampled_from(DIRECTIVES)),
        st.tuples(st.just("answer"), st.sampled_from(DIRECTIVES)),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_each_epoch_is_executed_at_most_once_and_never_after_a_newer_one(
    steps: list[tuple[str, Directive | None]],
) -> None:
    history = History()
    with TemporaryDirectory() as directory:
        path, left = Path(directory) / "a1.sqlite3", list(steps)
        while left:
            with desk(path, registered_at=history.offset) as at:
                while left and (step := left.pop(0))[1] is not None:
                    (history.deliver if step[0] == "deliver" else history.answer)(at, step[1])
    assert all(count == 1 for count in Counter(history.executed).values()), history.executed
    for task in ("t1", "t2"):
        epochs = [epoch for done, epoch in history.executed if done == task]
        assert epochs == sorted(epochs), f"an older epoch of {task} ran after a newer one: {epochs}"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(DIRECTIVES), max_size=20), st.integers(0, 20))
def test_nothing_from_before_the_registration_is_executed_or_answered(
    delivered: list[Directive], registered_at: int
) -> None:
    with desk(registered_at=registered_at) as at:
        for offset, what in enumerate(delivered):
            instructions = receive(at, offset, what)
            if offset < registered_at:
                assert not [each for each in instructions if isinstance(each, Execute | Reply)]
                assert not [each for each in instructions if isinstance(each, Halt) and each.reply]


# -- case by case ---------------------------------------------------------------------------------------------


def test_a_repeat_of_an_open_directive_is_ignored_and_of_an_answered_one_answered_alike() -> None:
    with desk() as at:
        assert receive(at, 0, directive()) == [Execute(directive())]
        assert receive(at, 1, directive()) == []
        at.answered(directive(), Answer("accepted"))
        assert receive(at, 2, directive()) == [Reply(directive(), Answer("accepted"))]
        at.answered(directive(), Answer("completed", result={"n": [1, None]}))
        assert receive(at, 3, directive()) == [
            Reply(directive(), Answer("completed", result={"n": [1, None]}))
        ]


def test_an_acceptance_of_an_earlier_incarnation_is_not_repeated(tmp_path: Path) -> None:
    with desk(tmp_path / "state") as at:
        receive(at, 0, directive())
        at.answered(directive(), Answer("accepted"))
    with desk(tmp_path / "state", registered_at=1) as at:
        assert receive(at, 1, directive()) == []


def test_other_agents_other_fleets_and_unknown_types_are_left_alone() -> None:
    with desk() as at:
        assert receive(at, 0, directive(agent_id="a2")) == []
        assert receive(at, 1, directive(fleet="blue")) == []
        assert receive(at, 2, directive("juggle")) == []
        assert receive(at, 3, directive(task_id=None)) == []


def test_what_has_expired_on_receipt_is_ignored_even_if_it_had_been_answered() -> None:
    with desk() as at:
        receive(at, 0, directive())
        at.answered(directive(), Answer("completed"))
        assert receive(at, 1, directive(), now=NOW + 60) == []
        assert receive(at, 2, directive(number=2, epoch=2), now=NOW + 61) == []


def test_a_stopping_agent_takes_no_new_work() -> None:
    with desk() as at:
        at.stopping = True
        assert receive(at, 0, directive()) == [Reply(directive(), Answer("rejected", reason="agent_stopped"))]


def test_a_join_holds_a_slot_until_its_assignment_its_end_or_its_leave() -> None:
    def join(number: int) -> Directive:
        return directive("join_coalition", number, coalition=COALITION)

    def other(number: int) -> Directive:
        coalition = Coalition(id="c2", members=("a1",), role=None)
        return directive("join_coalition", number, task_id="t2", coalition=coalition)

    accepted, full = Answer("accepted"), Answer("rejected", reason="no_free_slot")
    with desk(slots=1) as at:
        assert receive(at, 0, join(1)) == [Reply(join(1), accepted)]
        assert receive(at, 1, other(2)) == [Reply(other(2), full)]
        leave = directive("leave_coalition", 3, coalition=COALITION)
        assert receive(at, 2, leave) == [Halt(leave, reply=True)]
        assert receive(at, 3, other(4)) == [Reply(other(4), accepted)]
    with desk(slots=1) as at:
        receive(at, 0, join(1))
        assignment = directive(number=2, coalition=COALITION)
        assert receive(at, 1, assignment) == [Execute(assignment)]
        assert receive(at, 2, other(3), engaged=1) == [Reply(other(3), full)]
        assert receive(at, 3, other(4), engaged=0) == [Reply(other(4), accepted)]


def test_a_former_member_may_be_asked_again_in_the_same_epoch_but_not_in_an_older_one() -> None:
    with desk() as at:
        first = directive("join_coalition", 1, epoch=2, coalition=COALITION)
        leave = directive("leave_coalition", 2, epoch=2, coalition=COALITION)
        again = directive("join_coalition", 3, epoch=2, coalition=COALITION)
        older = directive("join_coalition", 4, epoch=1, coalition=COALITION)
        receive(at, 0, first)
        receive(at, 1, leave)
        assert receive(at, 2, again) == [Reply(again, Answer("accepted"))]
        assert receive(at, 3, older) == [Reply(older, Answer("rejected", reason="stale_epoch"))]


def test_a_draining_agent_joins_no_coalition_and_remembers_the_drain(tmp_path: Path) -> None:
    drain = directive("drain", 1)
    with desk(tmp_path / "state") as at:
        assert receive(at, 0, drain) == [ChangeMode(), Reply(drain, Answer("completed"))]
    with desk(tmp_path / "state") as at:
        assert at.draining
        join = directive("join_coalition", 2, coalition=COALITION)
        assert receive(at, 1, join) == [Reply(join, Answer("rejected", reason="draining"))]
        receive(at, 2, directive("resume", 3))
        assert not at.draining


@pytest.mark.parametrize(("payload", "throttle"), [({"slots": 2}, 2), ({"slots": 0}, 0), (None, None)])
def test_a_throttle_limits_or_frees(payload: object, throttle: int | None) -> None:
    with desk() as at:
        what = directive("throttle", payload=payload)
        assert receive(at, 0, what) == [ChangeMode(), Reply(what, Answer("completed"))]
        assert at.throttle == throttle


@pytest.mark.parametrize("payload", [{}, {"slots": -1}, {"slots": True}, {"rate": 3}, 3, []])
def test_an_unclear_throttle_is_rejected_and_changes_nothing(payload: object) -> None:
    with desk() as at:
        (reply,) = receive(at, 0, directive("throttle", payload=payload))
        assert isinstance(reply, Reply)
        assert reply.answer.outcome == "rejected"
        assert at.throttle is None
