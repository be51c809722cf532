"""How long something took, many times: their number, mean and quantiles, in little memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from models import histogram
from models.fields import seconds
from models.histogram import Histogram

QUANTILES = {"p50": 500, "p95": 950, "p99": 990}
"""Per mille; each is at most an eighth above the true one."""


@dataclass(slots=True)
class Waits:
    """Milliseconds."""

    count: int = 0
    total: int = 0
    longest: int = 0
    times: Histogram = field(default_factory=dict)

    def add(self, milliseconds: int) -> None:
        milliseconds = max(0, milliseconds)
        self.count += 1
        self.total += milliseconds
        self.longest = max(self.longest, milliseconds)
        histogram.add(self.times, milliseconds)

    @property
    def typical(self) -> int:
        """The median; 0 of nothing."""
        return min(histogram.quantile(self.times, 500), self.longest)

    def on_wire(self) -> dict[str, object]:
        """In seconds; of nothing, ``count`` is 0 and the rest ``None``."""
        if not self.count:
            return {"count": 0, "mean": None, **dict.fromkeys(QUANTILES), "longest": None}
        return {
            "count": self.count,
            "mean": round(self.total / self.count / 1_000, 3),
            **{
                name: seconds(min(histogram.quantile(self.times, share), self.longest))
                for name, share in QUANTILES.items()
            },
            "longest": seconds(self.longest),
        }
