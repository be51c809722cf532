"""What a verification found, and whether all of it holds together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from models.cut import Cut, Place

_NO_END = 1 << 63
UNKNOWN_VERSION = "unknown_version"
MOST_FINDINGS = 1_000
"""That are kept one by one; all are counted."""


class Verdict(StrEnum):
    """Of one record."""

    EQUAL = "EQUAL"
    """It is, byte for byte, what follows from the log."""
    VALID_NOT_EQUAL = "VALID_NOT_EQUAL"
    """A plan that could be carried out, and that this planner would not have made: a person's, or of another
    version."""
    DIVERGENT = "DIVERGENT"
    """It does not follow from the log, or what does is not there."""
    UNVERIFIABLE = "UNVERIFIABLE"
    """What it would be compared with is not there: it has expired, or is still to come. Or another version of the
    coordinator has written it, or what it stems from."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One record of which something is to be said."""

    verdict: Verdict
    check: str
    """``facts``, ``outputs`` or ``plans``."""
    place: Place
    offset: int | None
    """Where it stands; ``None`` if it is not there."""
    reason: str
    """Stable, for machines: ``differs``, ``added``, ``missing``, ``order``, ``expired``, ``awaited`` …"""
    subject: str
    """What it is about: the id of a directive, a source position, a plan."""
    details: Mapping[str, object] = field(default_factory=dict)

    def on_wire(self) -> dict[str, object]:
        return {
            "verdict": str(self.verdict),
            "check": self.check,
            "topic": self.place.topic,
            "partition": self.place.partition,
            "offset": self.offset,
            "reason": self.reason,
            "subject": self.subject,
            **self.details,
        }


class SavedReport(msgspec.Struct):
    """What was found so far."""

    counts: dict[str, dict[str, int]]
    repeats: dict[str, int]
    ahead: dict[str, int]
    in_the_dark: bool
    findings: list[Finding]


class Report:
    """All that was found.

    Attributes:
        counts: Records by check and verdict.
        repeats: Records that stand there once more, as they may: what was sent again after a restart.
        findings: What is not equal, the first :data:`MOST_FINDINGS`.
        ahead: Records that are not judged, since nothing behind them has been forwarded yet: ``events`` that
            nobody refers to, and ``facts`` that follow from those that were read.
        accounting: For each partition that was folded, its outcomes and how many records were read.
        begins, ends: Offsets, by partition, of the first record that is to be judged, and of the first one that is
            not any more.

    Args:
        told: Is told each finding, as it is made.
    """

    def __init__(self, told: Callable[[Finding], object] = lambda finding: None) -> None:
        self._told = told
        self._in_the_dark = False
        """Whether something was found that another version has written: from then on states may differ, and
        whatever does not follow is nobody's fault. It is not verified either."""
        self.begins: dict[Place, int] = {}
        self.ends: dict[Place, int] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.repeats: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.accounting: dict[str, dict[str, object]] = {}
        self.cut: Cut | None = None
        self.ahead: Counter[str] = Counter()

    def saved(self) -> SavedReport:
        """As of now, for :meth:`restore`."""
        counts = {check: dict(counts) for check, counts in self.counts.items()}
        return SavedReport(counts, dict(self.repeats), dict(self.ahead), self._in_the_dark, self.findings)

    def restore(self, saved: SavedReport) -> None:
        """Go on with what was saved."""
        self.counts = {
            check: Counter({Verdict(name): count for name, count in counts.items()})
            for check, counts in saved.counts.items()
        }
        self.repeats = Counter(saved.repeats)
        self.ahead = Counter(saved.ahead)
        self._in_the_dark = saved.in_the_dark
        self.findings = saved.findings

    def judges(self, place: Place, offset: int) -> bool:
        """Whether something is to be said of what stands there."""
        return self.begins.get(place, 0) <= offset < self.ends.get(place, _NO_END)

    def equal(self, check: str, place: Place, offset: int) -> None:
        if self.judges(place, offset):
            self.counts.setdefault(check, Counter())[Verdict.EQUAL] += 1

    def add(self, finding: Finding) -> None:
        if finding.offset is not None and not self.judges(finding.place, finding.offset):
            return
        self._in_the_dark = self._in_the_dark or finding.reason == UNKNOWN_VERSION
        if self._in_the_dark and finding.verdict is Verdict.DIVERGENT:
            finding = replace(finding, verdict=Verdict.UNVERIFIABLE)
        self._told(finding)
        self.counts.setdefault(finding.check, Counter())[finding.verdict] += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    def total(self, verdict: Verdict) -> int:
        return sum(counts[verdict] for counts in self.counts.values())

    def account(self, place: Place, outcomes: Mapping[str, int], records: int) -> None:
        """Tell how many records of a partition had which outcome."""
        self.accounting[str(place)] = {
            "records": records,
            "outcomes": {name: count for name, count in outcomes.items() if count},
            "adds_up": sum(outcomes.values()) == records,
        }

    @property
    def records(self) -> int:
        """How many were folded, of events and fleet log."""
        return sum(int(str(books["records"])) for books in self.accounting.values())

    @property
    def adds_up(self) -> bool:
        return all(bool(books["adds_up"]) for books in self.accounting.values())

    @property
    def verified(self) -> bool:
        """Whether everything follows from the log, nothing is lacking, and every record is accounted for."""
        return self.adds_up and not (self.total(Verdict.DIVERGENT) or self.total(Verdict.UNVERIFIABLE))

    def on_wire(self) -> dict[str, object]:
        return {
            "verified": self.verified,
            "from": str(Cut.of(self.cut.cluster, self.begins)) if self.cut and self.begins else None,
            "cut": str(self.cut) if self.cut else None,
            "counts": {
                check: {str(verdict): counts[verdict] for verdict in Verdict}
                for check, counts in sorted(self.counts.items())
            },
            "repeats": dict(sorted(self.repeats.items())),
            "ahead": dict(sorted(self.ahead.items())),
            "accounting": self.accounting,
            "findings": [finding.on_wire() for finding in self.findings],
        }
