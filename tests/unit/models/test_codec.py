"""Bytes to JSON: what is refused that parsers let pass, and that nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.codec import MAX_INTEGER, MAX_VALUE_BYTES, InvalidRecord, decode_object, encode

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-MAX_INTEGER, MAX_INTEGER),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)
objects = st.dictionaries(st.text(max_size=8), values, max_size=6)
stable = settings(max_examples=100, deadline=None, derandomize=True)


@given(objects, st.booleans(), st.sampled_from([None, 1]))
@stable
def test_every_valid_object_is_read_as_it_is_however_it_is_written(
    value: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert decode_object(text.encode()) == value


@given(objects)
@stable
def test_equal_values_give_equal_bytes(value: dict[str, object]) -> None:
    assert encode(decode_object(encode(value))) == encode(value)


@given(st.binary(max_size=64))
@stable
def test_any_bytes_are_an_object_or_invalid(raw: bytes) -> None:
    code = "object"
    try:
        decode_object(raw)
    except InvalidRecord as error:
        code = error.code
    assert code in ("object", "bytes", "limits", "schema")


@given(objects.filter(bool), st.data())
@stable
def test_repeated_key_is_found_wherever_it_hides(value: dict[str, object], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    repeat = f"{{{json.dumps(key, ensure_ascii=False)}: 1, {json.dumps(value, ensure_ascii=False)[1:]}"
    for text in (repeat, f'{{"deep": [0, {repeat}]}}'):
        with pytest.raises(InvalidRecord, match="twice"):
            decode_object(text.encode())


@pytest.mark.parametrize("number", [MAX_INTEGER + 1, -MAX_INTEGER - 1, 2**63, 2**64, -(2**63) - 1, 10**300])
@pytest.mark.parametrize("template", ['{"x":%d}', '{"x":[[%d]]}', '{"x":{"y":%d}}'])
def test_integers_beyond_what_every_language_holds_are_refused(number: int, template: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        decode_object((template % number).encode())
    assert caught.value.code == "limits"


def test_large_floats_are_no_large_integers() -> None:
    assert decode_object(b'{"x":1e300,"y":[-1e19,1.5e22]}') == {"x": 1e300, "y": [-1e19, 1.5e22]}


def test_value_of_exactly_the_allowed_size_is_read() -> None:
    frame = b'{"x":""}'
    fits = frame[:-2] + b"a" * (MAX_VALUE_BYTES - len(frame)) + frame[-2:]
    assert len(fits) == MAX_VALUE_BYTES
    decode_object(fits)
    with pytest.raises(InvalidRecord, match="at most"):
        decode_object(fits[:-2] + b"a" + fits[-2:])


@pytest.mark.parametrize("depth", [33, 500, 5_000, 200_000])
def test_absurd_nesting_is_refused_and_harms_nobody(depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        raw = b'{"x":' + opening * depth + b"1" + closing * depth + b"}"
        with pytest.raises(InvalidRecord) as caught:
            decode_object(raw)
        assert caught.value.code in ("limits", "bytes")


def test_nesting_under_a_repeated_key_is_refused_too() -> None:
    raw = b'{"a":' + b"[" * 1_000 + b"]" * 1_000 + b',"a":1}'
    with pytest.raises(InvalidRecord):
        decode_object(raw)


def test_a_machine_without_memory_makes_no_record_a_bad_one() -> None:
    """In a process that may take no more: it would be a dead letter there, and a good record elsewhere."""
    program = """
import resource, sys
from pathlib import Path
from models.codec import decode_object
raw = b'{"x":"' + b"x" * 1_000_000 + b'"}'
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (4 << 20), resource.RLIM_INFINITY))
try:
    decode_object(raw)
except MemoryError:
    sys.exit(7)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[3], capture_output=True, check=False
    )
    assert ran.returncode == 7, ran.stderr
