"""Records of earlier versions, read as if they were of this one.

Fields may be added to a record at any time: who does not know them ignores them. What changes the meaning
of a field, or takes one away, makes another version of its type, which the record names as
``schema_version``; without it, it is of the first. For every version that was ever released and is the last
no more, a chain has an *upcaster*: a pure function from a record's JSON object to that of the next version
(Young, Versioning in an Event Sourced System). Nothing else in the code knows of old versions, and the log
itself is never rewritten.

A version that is not known is refused and never guessed at: it was written by a newer release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from models.codec import InvalidRecord

FIELD = "schema_version"

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes of an object of one version that of the next, and leaves its argument as it is."""
Chains: TypeAlias = Mapping[str, Sequence[Upcaster]]
"""By type, the upcasters of its versions, from the first to the last but one."""


def upcast(value: dict[str, Any], chains: Chains) -> dict[str, Any]:
    """The object as of the last version of its type; one without a type that has a chain is returned as it is.

    Raises:
        InvalidRecord: with code ``version`` if it is of no version that is known.
    """
    version, kind = value.get(FIELD, 1), value.get("type")
    chain = chains.get(kind) if isinstance(kind, str) else None
    if chain is None:
        return value
    if type(version) is not int or not 1 <= version <= len(chain) + 1:
        raise InvalidRecord("version", f"{FIELD} is {str(version)[:32]}; {_known(kind, len(chain) + 1)}")
    for step in chain[version - 1 :]:
        value = step(value)
    return value


def _known(kind: object, last: int) -> str:
    versions = "version 1 is" if last == 1 else f"versions 1 to {last} are"
    return f"of {kind}, {versions} known here: upgrade the coordinator before those who write newer ones"
