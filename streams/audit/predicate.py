"""Predicates on a fleet's state, as people write them: ``task["nightly-42"].state == "failed"``.

The grammar is a part of Python's expressions: names, ``.field`` and ``["key"]``, numbers, strings, ``None``,
``True`` and ``False``, lists, comparisons, ``in``, ``and``, ``or``, ``not``, ``+ - * /`` and ``len()``. What is
not there is ``None``, which is neither less nor greater than anything. Nothing else can be called, and nothing
changed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from models.fields import seconds
from models.fleet import FleetFold, views
from models.fleet.rows import FleetRow
from models.fleet.state import FleetState
from streams.errors import ConfigurationError

_Value: TypeAlias = Callable[["Seen"], Any]
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
    ast.Is: lambda one, other: one is other,
    ast.IsNot: lambda one, other: one is not other,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 10_000


class Seen:
    """A fleet in a fold, by the names of the grammar. Nothing is looked up before it is asked for."""

    def __init__(self, fold: FleetFold, fleet: str) -> None:
        self.fold = fold
        self.fleet = fleet

    @property
    def known(self) -> FleetState | None:
        return self.fold.state.fleets.get(self.fleet)


class _Named:
    """Of one kind, by id."""

    def __init__(
        self, seen: Seen, read: Callable[[FleetFold, str, str], Mapping[str, object] | None]
    ) -> None:
        self._seen = seen
        self._read = read

    def get(self, name: object) -> Mapping[str, object] | None:
        return self._read(self._seen.fold, self._seen.fleet, str(name))


def _of_row(read: Callable[[FleetRow], int]) -> _Value:
    return lambda seen: 0 if seen.known is None else read(seen.known.row)


def _of_fleet(read: Callable[[FleetState], int]) -> _Value:
    return lambda seen: 0 if seen.known is None else read(seen.known)


NAMES: dict[str, _Value] = {
    "task": lambda seen: _Named(seen, views.task),
    "agent": lambda seen: _Named(seen, views.agent),
    "coalition": lambda seen: _Named(seen, views.coalition),
    "pending": _of_fleet(lambda fleet: fleet.pending),
    "live": _of_fleet(lambda fleet: sum(fleet.live.values())),
    "submitted": _of_row(lambda row: row.submitted),
    "completed": _of_row(lambda row: row.completed),
    "failed": _of_row(lambda row: row.failed),
    "cancelled": _of_row(lambda row: row.cancelled),
    "assignments": _of_row(lambda row: row.assigned),
    "moved": _of_row(lambda row: row.moved),
    "preempted": _of_row(lambda row: row.preempted),
    "registered": _of_fleet(lambda fleet: fleet.registered),
    "suspected": _of_fleet(lambda fleet: fleet.suspected),
    "tripped": _of_fleet(lambda fleet: fleet.tripped),
    "policy_version": _of_fleet(lambda fleet: fleet.policy.version),
    "offset": lambda seen: seen.fold.state.clock.offset,
    "time": lambda seen: seconds(seen.fold.state.clock.log_time),
    "rejections": lambda seen: seen.fold.state.clock.rejections,
    "refusals": lambda seen: seen.fold.state.clock.refusals,
    "summary": lambda seen: views.summary(seen.fold, seen.fleet),
}
"""What can be named. ``task``, ``agent`` and ``coalition`` are asked by id, for what ``coordinator state``
shows of one as JSON; ``summary`` is what it shows of the fleet, and is slow; the others are numbers, or numbers
by reason."""


class Predicate:
    """A condition on a fleet's state.

    Raises:
        ConfigurationError: if the text is none; the message says what is wrong with it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > _LONGEST:
            raise ConfigurationError(f"the condition has {len(text):,} characters; {_LONGEST:,} are enough")
        try:
            tree = ast.parse(text.strip(), mode="eval")
            self._value = _compiled(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigurationError(
                f"{text!r} is no condition: {getattr(error, 'msg', error)}; one looks like "
                'task["nightly-42"].state == "failed"'
            ) from None

    def __call__(self, fold: FleetFold, fleet: str) -> bool:
        """Whether it holds now."""
        return bool(self._value(Seen(fold, fleet)))


def _compiled(node: ast.expr) -> _Value:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return lambda seen: value
        case ast.Name(id=name):
            if name not in NAMES:
                raise ConfigurationError(f"nothing is called {name!r}; there are {', '.join(sorted(NAMES))}")
            return NAMES[name]
        case ast.Attribute(value=of, attr=name):
            return _field(_compiled(of), name)
        case ast.Subscript(value=of, slice=key):
            return _item(_compiled(of), _compiled(key))
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            values = [_compiled(part) for part in parts]
            return lambda seen: [value(seen) for value in values]
        case ast.UnaryOp(op=ast.Not(), operand=of):
            negated = _compiled(of)
            return lambda seen: not negated(seen)
        case ast.UnaryOp(op=ast.USub(), operand=of):
            return _calculated(operator.sub, lambda seen: 0, _compiled(of))
        case ast.BoolOp(op=ast.And(), values=parts):
            conditions = [_compiled(part) for part in parts]
            return lambda seen: all(condition(seen) for condition in conditions)
        case ast.BoolOp(op=ast.Or(), values=parts):
            conditions = [_compiled(part) for part in parts]
            return lambda seen: any(condition(seen) for condition in conditions)
        case ast.Compare(left=left, ops=kinds, comparators=others):
            return _compared(_compiled(left), kinds, [_compiled(other) for other in others])
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _ARITHMETIC:
            return _calculated(_ARITHMETIC[type(kind)], _compiled(left), _compiled(right))
        case ast.Call(func=ast.Name(id="len"), args=[of], keywords=[]):
            counted = _compiled(of)
            return lambda seen: _length(counted(seen))
    raise ConfigurationError(
        f"{ast.unparse(node)!r} is more than a condition may say; see coordinator bisect --help"
    )


def _field(of: _Value, name: str) -> _Value:
    def read(seen: Seen) -> Any:
        value = of(seen)
        return value.get(name) if isinstance(value, Mapping | _Named) else None

    return read


def _item(of: _Value, key: _Value) -> _Value:
    def read(seen: Seen) -> Any:
        value, wanted = of(seen), key(seen)
        if isinstance(value, Mapping | _Named):
            return value.get(wanted)
        if isinstance(value, list) and isinstance(wanted, int) and -len(value) <= wanted < len(value):
            return value[wanted]
        return None

    return read


def _compared(left: _Value, kinds: list[ast.cmpop], others: list[_Value]) -> _Value:
    tests = [(_COMPARE[type(kind)], other) for kind, other in zip(kinds, others, strict=True)]

    def holds(seen: Seen) -> bool:
        one = left(seen)
        for test, read in tests:
            other = read(seen)
            try:
                if not test(one, other):
                    return False
            except TypeError:
                return False  # what has no order, or no members
            one = other
        return True

    return holds


def _calculated(how: Callable[[Any, Any], Any], left: _Value, right: _Value) -> _Value:
    def read(seen: Seen) -> Any:
        one, other = left(seen), right(seen)
        if not (isinstance(one, int | float) and isinstance(other, int | float)):
            return None
        try:
            return how(one, other)
        except (ZeroDivisionError, OverflowError):
            return None

    return read


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list | Mapping) else None
