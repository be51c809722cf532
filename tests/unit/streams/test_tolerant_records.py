"""Batches that aiokafka's parser gives up on are read all the same, and all others exactly as it reads them."""

from __future__ import annotations

import contextlib

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.tolerant_records import TolerantRecords, parse_batch, tolerate_strange_batches
from tests.support.strange_batch import CODECS, StrangeBatch, strange_batch

NO_UTF8 = b"\xff\xfename\xed\xa0\x80"
SHOWN = "\\xff\\xfename\\xed\\xa0\\x80"


def built(batch: StrangeBatch, offset: int = 0) -> bytes:
    """As it stands in a log; the checksum does not cover the offset, which brokers write."""
    return offset.to_bytes(8, "big") + bytes(batch._build())[8:]


def everything(records: object) -> list[object]:
    assert isinstance(records, TolerantRecords | MemoryRecords)
    got: list[object] = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        got += [
            (one.offset, one.timestamp, one.timestamp_type, one.key, one.value, list(one.headers))
            for one in batch
        ]
    return got


@pytest.mark.parametrize("compression", CODECS)
def test_a_header_name_that_is_no_utf8_costs_no_record_anything(compression: str) -> None:
    data = built(strange_batch(NO_UTF8, [b"v0", b"v1", b"v2"], compression))
    with pytest.raises((CorruptRecordException, UnicodeDecodeError)):
        everything(MemoryRecords(data))
    records = TolerantRecords(data)
    batch = records.next_batch()
    got = list(batch)
    assert [(one.offset, one.timestamp, one.key, one.value) for one in got] == [
        (number, 1_000 + number, b"k%d" % number, b"v%d" % number) for number in range(3)
    ]
    (before, strange, after) = got[1].headers
    assert before == ("before", b"1")
    assert strange[0].startswith(SHOWN)
    assert strange[1] == b"x"
    assert after == ("after", None)
    assert not records.has_next()


def test_batches_around_a_strange_one_are_read_too() -> None:
    data = (
        built(strange_batch(b"plain", [b"a", b"b"]))
        + built(strange_batch(NO_UTF8, [b"c", b"d"], "zstd"), 2)
        + built(strange_batch(b"plain", [b"e"]), 4)
        + built(strange_batch(b"plain", [b"cut off"]), 5)[:-3]
    )
    values = [one[4] for one in everything(TolerantRecords(data))]  # type: ignore[index]
    assert values == [b"a", b"b", b"c", b"d", b"e"]


def test_a_damaged_batch_stays_damaged() -> None:
    data = bytearray(built(strange_batch(NO_UTF8, [b"v0", b"v1"])))
    data[61] = 0x08  # the first record's length
    with pytest.raises((CorruptRecordException, UnicodeDecodeError)):
        list(TolerantRecords(bytes(data)).next_batch())


headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3)
records = st.lists(
    st.tuples(
        st.integers(0, 1 << 50),
        st.none() | st.binary(max_size=20),
        st.none() | st.binary(max_size=300),
        headers,
    ),
    min_size=1,
    max_size=5,
)


@given(records, st.sampled_from(sorted(CODECS)))
def test_our_parser_reads_what_aiokafkas_reads(
    given_records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]],
    compression: str,
) -> None:
    batch = StrangeBatch(b"unused", compression)
    for timestamp, key, value, its_headers in given_records:
        batch.append(timestamp=timestamp, key=key, value=value, headers=its_headers)
    data = built(batch)
    ours = [
        (one.offset, one.timestamp, one.timestamp_type, one.key, one.value, list(one.headers))
        for one in parse_batch(data)
    ]
    assert ours == everything(MemoryRecords(data))


@given(st.binary(min_size=61, max_size=200))
def test_our_parser_ends_on_any_bytes(data: bytes) -> None:
    plain = data[:21] + b"\0\0" + data[23:57] + b"\0\0\0\x05" + data[61:]
    with contextlib.suppress(IndexError, ValueError):
        parse_batch(plain)


def test_all_consumers_of_the_process_read_through_it() -> None:
    tolerate_strange_batches()
    tolerate_strange_batches()
    assert fetcher.MemoryRecords is TolerantRecords
