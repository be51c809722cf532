"""What the engine touches of aiokafka beside reading."""

from __future__ import annotations

from streams.engine.aiokafka_internals import new_batch


def test_a_full_batch_says_so_instead_of_taking_more() -> None:
    batch = new_batch(100)
    assert batch.append(timestamp=None, key=b"k", value=bytes(90)) is not None, "a first record always fits"
    assert batch.append(timestamp=None, key=b"k", value=bytes(90)) is None
    assert batch.record_count() == 1
