"""What people are told about settings that are wrong: which one, where it came from, and what it may be."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX = "COORDINATOR_"

NO_SETTINGS = frozenset(
    {
        "COORDINATOR_BENCH_DIR",
        "COORDINATOR_CACHE_DIR",
        "COORDINATOR_CONFIG",
        "COORDINATOR_FAILPOINTS",
        "COORDINATOR_HTTP",
        "COORDINATOR_LONG_TESTS",
        "COORDINATOR_MAVEN_REPOSITORY",
        "COORDINATOR_SEED",
    }
)
"""Variables that something else than the settings reads."""

_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_\w+)?$")
"""Kubernetes tells every pod about every service: one that is called coordinator begins with our prefix."""


def unknown_variables(environment: Mapping[str, str], settings: Collection[str]) -> list[str]:
    """A sentence about each environment variable that looks like a setting and is none."""
    known = [PREFIX + name.upper() for name in settings] + sorted(NO_SETTINGS)
    return [
        f"{name}: {_no_such_setting(name, known)}"
        for name, value in sorted(environment.items())
        if (upper := name.upper()).startswith(PREFIX)
        and upper not in known
        and not _OF_KUBERNETES.search(upper)
        and not (upper.endswith("_PORT") and "://" in value)  # Kubernetes again: tcp://10.0.0.1:9090
    ]


def described(
    faults: Sequence[ErrorDetails], settings: Mapping[str, Sequence[str]], flags: Collection[str], file: str
) -> Iterator[str]:
    """A sentence about each fault that pydantic found.

    Args:
        settings: Names of all settings, each with the environment variables that it is read from.
        flags: Settings that were given by flags.
        file: The settings file.
    """
    for fault in faults:
        name = ".".join(str(part) for part in fault["loc"])
        unknown = fault["type"] == "extra_forbidden"
        rule = _no_such_setting(name, settings) if unknown else _rule(fault)
        yield f"{name}{_origin(name, settings, flags, file)}: {rule}"


def _origin(name: str, settings: Mapping[str, Sequence[str]], flags: Collection[str], file: str) -> str:
    if name in flags:
        return ""
    given = {variable.upper() for variable in os.environ}
    found = next((variable for variable in settings.get(name, ()) if variable in given), None)
    return f" ({found or file})"


def _no_such_setting(name: str, known: Collection[str]) -> str:
    # Without the prefix, which makes any two variables look alike.
    names = {one.removeprefix(PREFIX): one for one in known}
    near = get_close_matches(name.upper().removeprefix(PREFIX), {key.upper() for key in names}, n=1)
    if not near:
        return "there is no such setting; correct or remove it"
    return f"there is no such setting; did you mean {names.get(near[0]) or names[near[0].lower()]}?"


def _rule(fault: ErrorDetails) -> str:
    """What a value may be, in words of people instead of pydantic's."""
    context: dict[str, Any] = fault.get("ctx", {})
    if fault["type"] == "value_error":
        return str(context["error"])
    return f"{_allowed(fault['type'], context) or fault['msg']} (got {fault['input']!r})"


def _allowed(fault: str, context: Mapping[str, Any]) -> str | None:
    match fault:
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return "give a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            return "give a number"
        case "bool_parsing" | "bool_type":
            return "give true or false"
        case "string_type" | "path_type":
            return "give a text"
        case "literal_error":
            return f"give {context['expected']}"
        case "string_pattern_mismatch":
            return "give at most 100 letters, digits, dots, hyphens and underscores"
        case "greater_than":
            return f"give more than {context['gt']:g}"
        case "greater_than_equal":
            return f"give at least {context['ge']}"
        case "less_than_equal":
            return f"give at most {context['le']}"
        case _:
            return None
