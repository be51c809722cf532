"""Counts of whole numbers by size, to an eighth: enough for quantiles, and exact to store, add and replay.

The layout is that of HdrHistogram with three significant bits: below 16 each number has a bucket of its own, above
it each power of two has eight. Only integers are touched, so that every machine finds the same quantile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Histogram: TypeAlias = dict[int, int]
"""How many numbers fell into each bucket, by its index; empty ones are left out."""


def add(counts: Histogram, value: int) -> None:
    """Count one number; a negative one as 0."""
    bucket = bucket_of(value)
    counts[bucket] = counts.get(bucket, 0) + 1


def bucket_of(value: int) -> int:
    """The index of a number's bucket; it rises with the number."""
    value = max(0, value)
    octave = max(0, value.bit_length() - 4)
    return 8 * octave + (value >> octave)


def greatest(bucket: int) -> int:
    """The greatest number in a bucket."""
    octave = max(0, bucket // 8 - 1)
    return (bucket - 8 * octave + 1 << octave) - 1


def size(counts: Mapping[int, int]) -> int:
    """How many numbers were counted."""
    return sum(counts.values())


def quantile(counts: Mapping[int, int], per_mille: int) -> int:
    """The nearest-rank quantile, as the greatest number of its bucket: at most an eighth above the true one; 0 of
    nothing."""
    rank = (size(counts) * per_mille + 999) // 1000
    for bucket in sorted(counts):
        rank -= counts[bucket]
        if rank <= 0:
            return greatest(bucket)
    return 0


def fade(counts: Histogram) -> None:
    """Halve all counts, so that what comes now counts for more."""
    for bucket, count in list(counts.items()):
        if count > 1:
            counts[bucket] = count // 2
        else:
            del counts[bucket]
