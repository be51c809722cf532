"""Compressed batches are unpacked as aiokafka unpacks them, and never to more than the bound."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import aiokafka.codec
import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams import unpacking
from streams.tolerant_records import UNREAD_HEADER, TolerantRecords, tolerate_strange_batches
from streams.unpacking import DECODERS, MAX_UNPACKED_BYTES, CannotUnpack, bound_unpacking, unpacked_bytes
from tests.support.bombs import Bomb
from tests.support.strange_batch import CODECS

ROOT = Path(__file__).parents[3]
COMPRESSIONS = sorted(CODECS.keys() - {"none"})
OURS = {name: DECODERS[number][1] for name, (number, _) in CODECS.items() if number}
THEIRS = {name: getattr(aiokafka.codec, f"{name}_decode") for name in COMPRESSIONS}
LARGEST = MAX_UNPACKED_BYTES - 16
"""The value of a record that fits, with what stands around it, into a batch of just the bound."""


@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 40_000), st.sampled_from(COMPRESSIONS))
def test_what_fits_comes_out_as_aiokafka_gives_it(piece: bytes, times: int, compression: str) -> None:
    packed = CODECS[compression][1]((piece * times)[: 3 << 20])
    before = unpacked_bytes()
    unpacked = OURS[compression](packed)
    assert unpacked == THEIRS[compression](packed)
    assert unpacked_bytes() - before == len(unpacked)


@given(st.binary(max_size=200), st.sampled_from(COMPRESSIONS), st.data())
def test_damage_is_told_in_one_way_whatever_it_is(
    content: bytes, compression: str, data: st.DataObject
) -> None:
    packed = bytearray(CODECS[compression][1](content))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packed[: data.draw(st.integers(0, len(packed)))])
    try:
        unpacked = OURS[compression](cut)
    except CannotUnpack:
        return
    assert unpacked == THEIRS[compression](cut)


@given(st.binary(max_size=100), st.sampled_from(COMPRESSIONS))
def test_any_bytes_are_unpacked_or_refused(packed: bytes, compression: str) -> None:
    with contextlib.suppress(CannotUnpack):
        assert OURS[compression](packed) == THEIRS[compression](packed)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_batch_of_just_the_bound_is_read_and_a_larger_one_is_not(compression: str) -> None:
    bound_unpacking()
    whole = MemoryRecords(bytes(Bomb(LARGEST, compression)._build())).next_batch()
    assert whole is not None
    assert [len(record.value or b"") for record in whole] == [LARGEST]
    larger = MemoryRecords(bytes(Bomb(MAX_UNPACKED_BYTES, compression)._build())).next_batch()
    assert larger is not None
    with pytest.raises(CannotUnpack, match="more than 67108864 bytes once unpacked"):
        list(larger)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_batch_beyond_the_bound_is_read_as_one_record_of_its_own_bytes(compression: str) -> None:
    tolerate_strange_batches()
    before, bomb, after = (
        (offset, bytes(Bomb(size, compression)._build()))
        for offset, size in ((7, 10), (8, MAX_UNPACKED_BYTES), (9, 20))
    )
    placed = [offset.to_bytes(8, "big") + batch[8:] for offset, batch in (before, bomb, after)]
    records = TolerantRecords(b"".join(placed))
    read = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        read += list(batch)
    assert [record.offset for record in read] == [7, 8, 9]
    assert [read[0].value, read[2].value] == [bytes(10), bytes(20)]
    assert (read[1].key, read[1].value, read[1].timestamp) == (None, placed[1], 1_000)
    ((name, reason),) = read[1].headers
    assert name == UNREAD_HEADER
    assert reason is not None
    assert reason.startswith(b"this is a batch of 1 records as it came: it has more than")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_gigabyte_in_a_batch_costs_no_more_memory_than_the_bound(compression: str) -> None:
    """In a process of its own, whose memory ends far below what the batch would take."""
    program = f"""
import resource
from streams.tolerant_records import TolerantRecords, tolerate_strange_batches
from tests.support.bombs import Bomb
tolerate_strange_batches()
data = bytes(Bomb({1 << 30 if compression != "snappy" else 200 << 20}, {compression!r})._build())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(3):
    list(TolerantRecords(data).next_batch())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) * 1024 < 2.5 * MAX_UNPACKED_BYTES


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_machine_without_memory_makes_no_batch_a_bad_one(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be a dead letter on this machine, and a good batch on the next one."""

    packed = CODECS[compression][1](b"good")

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    for module, names in (
        (unpacking.gzip, ("GzipFile",)),
        (unpacking.cramjam.snappy, ("decompress_raw",)),
        (unpacking.cramjam.lz4, ("decompress", "decompress_into")),
        (unpacking.cramjam.zstd, ("decompress_into",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, no_memory)
    with pytest.raises(MemoryError):
        OURS[compression](packed)
