"""What users may rely on, pinned: a change here is a change for them and belongs into the changelog."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import coordinator
from coordinator import sync

ROOT = Path(coordinator.__file__).parent

PUBLIC = [
    *("Agent", "Batch", "BrokerUnavailable", "Client", "Coalition", "Connection", "CoordinatorError"),
    *("DeliveryFailed", "Directive", "DirectiveEnded", "InvalidValue", "NotRunning", "Progress"),
    *(
        "ReadingStopped",
        "Role",
        "Spread",
        "StateInUse",
        "StateUnreadable",
        "Task",
        "TaskCancelled",
        "TaskError",
    ),
    *("TaskExists", "TaskFailed", "TaskHandle", "TaskRefused", "TaskResult", "TopicMissing", "WaitTimeout"),
]

VERBS = {
    "Agent": "agent_id slots running incarnation start stop task run directives report report_resources update",
    "Client": "cancel cordon drain fleet handle result set_policy start stop submit submit_many uncordon wait",
    "Directive": "accept complete ended fail progress reject wait_ended",
    "TaskHandle": "cancel done result task_id wait",
    "Batch": "as_completed cancel progress wait",
}


def verbs(class_: type) -> set[str]:
    own = {name for base in class_.__mro__[:-1] for name in vars(base)}
    assigned = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(class_) or class_)))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return {
        name for name in own | (assigned & set(VERBS[class_.__name__].split())) if not name.startswith("_")
    }


def test_the_package_exports_exactly_these_names() -> None:
    assert sorted(coordinator.__all__) == PUBLIC
    assert all(getattr(coordinator, name).__doc__ for name in PUBLIC)


def test_every_error_has_the_one_root() -> None:
    errors = [each for each in vars(coordinator.errors).values() if isinstance(each, type)]
    assert all(issubclass(each, coordinator.CoordinatorError) for each in errors)
    assert {each.__name__ for each in errors} <= set(PUBLIC)


def test_both_faces_have_the_same_verbs() -> None:
    for name, expected in VERBS.items():
        for module in (coordinator, sync):
            missing = set(expected.split()) - verbs(getattr(module, name))
            assert not missing, f"{module.__name__}.{name} lacks {missing}"


def test_both_faces_take_the_same_arguments() -> None:
    for name in ("Agent", "Client", "Connection"):
        one, other = getattr(coordinator, name), getattr(sync, name)
        assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters), name
        for verb in VERBS.get(name, "").split():
            if inspect.isfunction(vars(one).get(verb)):
                here, there = (inspect.signature(getattr(each, verb)).parameters for each in (one, other))
                assert list(here) == list(there), f"{name}.{verb}"


def test_the_sdk_stands_alone() -> None:
    for path in ROOT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {"models", "streams"}, path
