"""Unpacking compressed batches, to a bound: what is small on the wire can be of any size in memory.

A batch of zeros shrinks to a thousandth with gzip, to less than a ten-thousandth with zstd. Brokers pass over it
as they check it; aiokafka unpacks it whole, so that two megabytes of it would end every worker that meets them.
:func:`bound_unpacking` takes the place of aiokafka's decoders for every consumer of the process. Each gives
what aiokafka's own gives, or raises :class:`CannotUnpack`; what becomes of such a batch is decided elsewhere.
"""

from __future__ import annotations

import gzip
import io
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiokafka.codec
import cramjam
import numpy as np
from aiokafka.record import default_records as in_python

try:
    from aiokafka.record._crecords import default_records as compiled
except ImportError:  # aiokafka without its C extensions
    compiled = in_python

MAX_UNPACKED_BYTES: Final = 64 << 20
"""Of one batch: 32 times what the events topic takes, so no honest sender comes near."""

_USUAL_BYTES = 1 << 20
_LZ4_FACTOR = 255
"""The format itself allows no more."""
_XERIAL_HEADER_BYTES = 16
_BLOCK_LENGTH = struct.Struct(">i")


class CannotUnpack(ValueError):
    """A compressed batch that is none, or too large once unpacked; the reason is for people."""


class _Unpacked(threading.local):
    """What this thread's decoders need and tell."""

    def __init__(self) -> None:
        self.bytes = 0
        self.room = np.empty(_USUAL_BYTES, np.uint8)


_here = _Unpacked()


def unpacked_bytes() -> int:
    """How much this thread has unpacked in all; what it could not counts as the bound, for it took as long."""
    return _here.bytes


def bound_unpacking() -> None:
    """Let all of this process's aiokafka consumers unpack to the bound; again does nothing."""
    for module in (compiled, in_python):
        for name, decode in DECODERS.values():
            setattr(module, name, decode)


def _bounded(unpack: Callable[[memoryview], bytes]) -> Callable[[bytes], bytes]:
    def decode(payload: bytes) -> bytes:
        try:
            unpacked = unpack(memoryview(payload))
            if len(unpacked) > MAX_UNPACKED_BYTES:
                raise _too_large()
        except MemoryError:  # says nothing about the batch
            raise
        except Exception as error:  # each library has its own, and none a common root
            _here.bytes += MAX_UNPACKED_BYTES
            if isinstance(error, CannotUnpack):
                raise
            raise CannotUnpack(f"it cannot be unpacked: {error}") from error
        _here.bytes += len(unpacked)
        return unpacked

    return decode


def _too_large() -> CannotUnpack:
    return CannotUnpack(f"it has more than {MAX_UNPACKED_BYTES} bytes once unpacked")


def _gzip(payload: memoryview) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as file:
        return file.read(MAX_UNPACKED_BYTES + 1)


def _snappy(payload: memoryview) -> bytes:
    """Raw, or as a row of blocks in the frame of the xerial library; each block says how large it will be."""
    if not aiokafka.codec._detect_xerial_stream(payload):
        return _snappy_block(payload, MAX_UNPACKED_BYTES)
    blocks = []
    left, at = MAX_UNPACKED_BYTES, _XERIAL_HEADER_BYTES
    while at < len(payload):
        (length,) = _BLOCK_LENGTH.unpack_from(payload, at)
        at += _BLOCK_LENGTH.size
        blocks.append(_snappy_block(payload[at : at + length], left))
        left -= len(blocks[-1])
        at += length
    return b"".join(blocks)


def _snappy_block(block: memoryview, room: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > room:
        raise _too_large()
    return bytes(cramjam.snappy.decompress_raw(block))


def _lz4(payload: memoryview) -> bytes:
    if len(payload) * _LZ4_FACTOR <= MAX_UNPACKED_BYTES:
        return bytes(cramjam.lz4.decompress(payload))
    return _into_room(cramjam.lz4.decompress_into, payload)


def _zstd(payload: memoryview) -> bytes:
    return _into_room(cramjam.zstd.decompress_into, payload)


def _into_room(decompress_into: Callable[[Any, Any], int], payload: memoryview) -> bytes:
    """Unpack into room of a fixed size: first what is there anyway, then all that is allowed."""
    for room in (_here.room, np.empty(MAX_UNPACKED_BYTES, np.uint8)):
        try:
            return room[: decompress_into(payload, room)].tobytes()
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):  # Rust's words for room that is too small
                raise
    raise _too_large()


DECODERS: Final[Mapping[int, tuple[str, Callable[[bytes], bytes]]]] = {
    1: ("gzip_decode", _bounded(_gzip)),
    2: ("snappy_decode", _bounded(_snappy)),
    3: ("lz4_decode", _bounded(_lz4)),
    4: ("zstd_decode", _bounded(_zstd)),
}
"""By the codec's number in a batch's attributes: the name that aiokafka calls it by, and ours."""
