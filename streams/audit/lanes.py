"""Comparing what stands in a partition with what should: records of several sources, each in its own order.

A partition of an output topic holds what several folds put out. Each is a lane: what it puts out comes in its
order, and again from some point on after a restart, byte for byte the same. So a record that stands there is the
next one of its lane, or one that was there before. Whatever else it is was altered, added or moved; and what a
lane has put out before it is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import blake2b

from models.codec import object_in
from models.cut import Place
from models.dead_letters import ERROR_HEADER
from models.fold import Output, Record
from streams.audit.checkpoint import SavedLane, SavedOutput
from streams.audit.claims import Source, of_another_version
from streams.audit.findings import UNKNOWN_VERSION, Finding, Report, Verdict

REMEMBERED = 200_000
"""Records of a lane that may come again: a worker sends again what it sent since its last checkpoint."""


def digest_of(record: Record | Output) -> bytes:
    """Of key, value and headers, which are all that is compared."""
    found = blake2b(digest_size=16)
    for part in (record.key, record.value, *(part for header in record.headers for part in header)):
        raw = part.encode(errors="surrogateescape") if isinstance(part, str) else part
        found.update(b"-" if raw is None else b"%d:" % len(raw))
        found.update(raw or b"")
    return found.digest()


class Lane:
    """What one fold puts out into one partition.

    Args:
        check: As findings name it.
        place: The partition.
        identity: What an output, or a record, is about; equal for an output and what it was altered into.
        begins_late: Whether the partition has lost its beginning: what should be there at first may be gone.
    """

    def __init__(
        self, check: str, place: Place, identity: Callable[[Record | Output], str], begins_late: bool
    ) -> None:
        self._check = check
        self._place = place
        self._identity = identity
        self._begins_late = begins_late
        self._expected: deque[tuple[bytes, Output, bool]] = deque()
        self._skipped: dict[bytes, tuple[Output, bool]] = {}
        self._seen: dict[bytes, None] = {}

    def saved(self, source: Source) -> SavedLane:
        """As of now, for :meth:`restore`."""
        return SavedLane(
            self._place,
            source,
            self._begins_late,
            [(digest, SavedOutput.of(output), judged) for digest, output, judged in self._expected],
            [(digest, SavedOutput.of(output), judged) for digest, (output, judged) in self._skipped.items()],
            list(self._seen),
        )

    def restore(self, saved: SavedLane) -> None:
        """Become, from a new one, the lane that was saved."""
        self._begins_late = saved.begins_late
        self._expected.extend((digest, output.output(), judged) for digest, output, judged in saved.expected)
        self._skipped.update((digest, (output.output(), judged)) for digest, output, judged in saved.skipped)
        self._seen.update(dict.fromkeys(saved.seen))

    def expect(self, output: Output, judged: bool = True) -> None:
        """
        Args:
            judged: Whether it is to be told if it is missing.
        """
        self._expected.append((digest_of(output), output, judged))

    def accepts(self, record: Record, digest: bytes, report: Report) -> bool:
        """Judge the record if it is one of this lane's; ``False`` if it is none."""
        if self._expected and self._expected[0][0] == digest:
            self._expected.popleft()
            self._is_there(record, digest, report)
            return True
        if digest in self._seen:
            report.repeats[self._check] += report.judges(self._place, record.offset)
            return True
        if digest in self._skipped:
            output, _ = self._skipped.pop(digest)
            self._seen[digest] = None
            self._find(report, record, "order", self._identity(output))
            return True
        if any(digest == expected for expected, _, _ in self._expected):
            while self._expected[0][0] != digest:
                self._skip(report)
            self._expected.popleft()
            self._is_there(record, digest, report)
            return True
        return False

    def differs(self, record: Record, report: Report) -> bool:
        """Judge a record that no lane expects as an alteration of one that this lane does; ``False`` if it is
        none."""
        identity = self._identity(record)
        for number, (_, output, _) in enumerate(self._expected):
            if self._identity(output) == identity:
                for _ in range(number):
                    self._skip(report)
                self._expected.popleft()
                fields = fields_that_differ(output, record)
                reason = UNKNOWN_VERSION if of_another_version(record) else reason_of(fields)
                self._find(report, record, reason, identity, {"fields": fields})
                return True
        return False

    def end(self, report: Report, awaited: bool) -> None:
        """Nothing more comes: what is missing is missing, and what was put out last may be on its way.

        Args:
            awaited: Whether that is to be told. Who folded further than those who wrote expects too much.
        """
        for output, judged in self._skipped.values():
            if judged:
                reason = UNKNOWN_VERSION if _is_of_unknown_version(output) else "missing"
                self._lacks(report, output, Verdict.DIVERGENT, reason)
        for _, output, judged in self._expected:
            if not judged:
                continue
            if awaited:
                self._lacks(report, output, Verdict.UNVERIFIABLE, "awaited")
            else:
                report.ahead[self._check] += 1
        self._skipped.clear()
        self._expected.clear()

    def _is_there(self, record: Record, digest: bytes, report: Report) -> None:
        report.equal(self._check, self._place, record.offset)
        self._begins_late = False
        self._seen[digest] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _skip(self, report: Report) -> None:
        digest, output, judged = self._expected.popleft()
        if not self._begins_late:
            self._skipped[digest] = output, judged
        elif judged:
            self._lacks(report, output, Verdict.UNVERIFIABLE, "expired")

    def _lacks(self, report: Report, output: Output, verdict: Verdict, reason: str) -> None:
        report.add(Finding(verdict, self._check, self._place, None, reason, self._identity(output)))

    def _find(
        self,
        report: Report,
        record: Record,
        reason: str,
        subject: str,
        details: dict[str, object] | None = None,
    ) -> None:
        report.add(
            Finding(
                Verdict.DIVERGENT, self._check, self._place, record.offset, reason, subject, details or {}
            )
        )


def reason_of(fields: dict[str, object]) -> str:
    """What a difference is called. If only the provenance is another one, it was made from another state: what
    made the states part stands further ahead."""
    return "provenance" if fields.keys() == {"provenance"} else "differs"


def fields_that_differ(expected: Output, found: Record) -> dict[str, object]:
    """``{field: [expected, found]}`` of the values, if both are JSON objects; else which part is different."""
    if expected.value != found.value:
        old, new = object_in(expected.value), object_in(found.value)
        if old is None or new is None:
            return {"value": [_text(expected.value), _text(found.value)]}
        names = [*old, *(name for name in new if name not in old)]
        fields: dict[str, object] = {
            name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)
        }
        return fields or {"value": [_text(expected.value), _text(found.value)]}
    if expected.key != found.key:
        return {"key": [_text(expected.key), _text(found.key)]}
    pairs = [[[name, _text(value)] for name, value in record.headers] for record in (expected, found)]
    return {"headers": pairs}


def _is_of_unknown_version(output: Output) -> bool:
    """Whether it is a dead letter that a newer coordinator would not have put out."""
    return any(
        name == ERROR_HEADER and (value or b"").startswith(b"version:") for name, value in output.headers
    )


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")[:500]
