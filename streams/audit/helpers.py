"""Other processes that fold partitions of the events for a verification, since Python uses one core in each.

A helper reads its partitions itself, some batches ahead of what was asked for, and sends what they put out,
batch by batch, through a pipe; the verification takes it where it would have folded itself. So what is
verified, and in which order, is the same with and without helpers. One that ends unasked ends the
verification.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import msgspec

from models.fold import Output
from streams.audit.archive import Archive
from streams.audit.checkpoint import SavedIngress, SavedOutput
from streams.audit.history import History, KafkaHistory
from streams.audit.sides import IngressJob, IngressSide
from streams.errors import StreamsError
from streams.reader import Extent

AHEAD = 16
"""Batches of a partition that a helper may be ahead."""
PATIENCE = 10.0
"""Seconds in which a helper has to end when it is told to."""
_LENGTH = 4


class Kafka(msgspec.Struct, tag="kafka"):
    """Where a helper reads."""

    bootstrap: str
    prefix: str


class Directory(msgspec.Struct, tag="archive"):
    """Likewise, of an archive."""

    path: str


Source: TypeAlias = Kafka | Directory


class _Open(msgspec.Struct, tag="open"):
    job: IngressJob


class _More(msgspec.Struct, tag="more"):
    """It may fold one batch more."""

    partition: int


class _Grown(msgspec.Struct, tag="grown"):
    partition: int
    end: int


class _Save(msgspec.Struct, tag="save"):
    partition: int


class _Batch(msgspec.Struct, tag="batch"):
    """What one batch put out, and where the fold stands behind it; ``more`` is false at the end."""

    partition: int
    position: int
    more: bool
    outputs: list[tuple[SavedOutput, bool]]
    outcomes: dict[str, int]
    records: int


class _State(msgspec.Struct, tag="state"):
    partition: int
    saved: SavedIngress


class _Failed(msgspec.Struct, tag="failed"):
    """Why a helper cannot go on."""

    message: str
    exit_status: int


_ToHelper: TypeAlias = Kafka | Directory | _Open | _More | _Grown | _Save
_FromHelper: TypeAlias = _Batch | _State | _Failed
_to_helper = msgspec.msgpack.Decoder(_ToHelper)
_from_helper = msgspec.msgpack.Decoder(_FromHelper)


class HelperFailed(StreamsError):
    """A helper could not do its part; the message is its own."""

    def __init__(self, message: str, exit_status: int = 3) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Helpers:
    """Use it with ``async with``; processes are started when they are needed first.

    Args:
        source: Where they read.
        count: How many there may be.
    """

    def __init__(self, source: Source, count: int) -> None:
        self._source = source
        self.count = count
        self._helpers: dict[int, _Helper] = {}

    async def __aenter__(self) -> Helpers:
        return self

    async def __aexit__(self, *_: object) -> None:
        for helper in self._helpers.values():
            await helper.end()

    async def open(self, number: int, job: IngressJob, put_out: PutOut) -> RemoteSide:
        """Let a helper fold a partition.

        Args:
            number: Which one, below ``count``.
        """
        helper = self._helpers.get(number)
        if helper is None:
            helper = self._helpers[number] = await _Helper.start(self._source)
        return await helper.open(job, put_out)


PutOut: TypeAlias = Callable[[Output, bool], None]


class _Helper:
    """One process, as seen from the verification."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._queues: dict[int, asyncio.Queue[_FromHelper]] = {}
        self._listening = asyncio.ensure_future(self._listen())

    @staticmethod
    async def start(source: Source) -> _Helper:
        command = [sys.executable, "-m", "streams.audit.helpers"]
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        helper = _Helper(process)
        await helper.send(source)
        return helper

    async def open(self, job: IngressJob, put_out: PutOut) -> RemoteSide:
        queue = self._queues[job.partition] = asyncio.Queue()
        await self.send(_Open(job))
        return await RemoteSide.begin(self, job, queue, put_out)

    async def send(self, message: _ToHelper) -> None:
        assert self._process.stdin is not None
        try:
            _write(self._process.stdin, message)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever waits for an answer is told

    async def end(self) -> None:
        self._listening.cancel()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while True:
            frame = await _read(self._process.stdout)
            if frame is None:
                status = await self._process.wait()
                failed = _Failed(
                    f"a process that folds events for this one has ended, with status {status}", 3
                )
                for queue in self._queues.values():
                    queue.put_nowait(failed)
                return
            message = _from_helper.decode(frame)
            if isinstance(message, _Failed):
                for queue in self._queues.values():
                    queue.put_nowait(message)
            else:
                self._queues[message.partition].put_nowait(message)


class RemoteSide:
    """A partition of the events that a helper folds; as a :class:`~streams.audit.sides.IngressSide`."""

    def __init__(
        self, helper: _Helper, job: IngressJob, queue: asyncio.Queue[_FromHelper], put_out: PutOut
    ) -> None:
        self._helper = helper
        self._partition = job.partition
        self._queue = queue
        self._put_out = put_out
        self._awaited = 0
        """Batches that the helper was asked for and that were not taken."""
        self._ended = False
        self._outcomes: Mapping[str, int] = {}
        self._records = 0
        self.extent = job.extent
        self.position = job.extent.beginning

    @staticmethod
    async def begin(
        helper: _Helper, job: IngressJob, queue: asyncio.Queue[_FromHelper], put_out: PutOut
    ) -> RemoteSide:
        side = RemoteSide(helper, job, queue, put_out)
        await side._ask(AHEAD)
        return side

    async def advance(self) -> bool:
        """Take what the helper has folded next; whether there was anything."""
        if self._ended:
            return False
        if not self._awaited:
            await self._ask(1)
        more = await self._take()
        if more:
            await self._ask(1)
        return more

    async def reach(self, offset: int) -> None:
        while self.position <= offset and await self.advance():
            pass

    async def extend(self, end: int) -> None:
        """The partition has grown."""
        if end > self.extent.end:
            self.extent = Extent(self.extent.beginning, end)
            while self._ended and self._awaited:
                await self._take()  # which says once more that there is nothing
            await self._helper.send(_Grown(self._partition, end))
            if self._ended:
                self._ended = False
                await self._ask(AHEAD)

    def books(self) -> tuple[Mapping[str, int], int]:
        return self._outcomes, self._records

    async def saved(self) -> SavedIngress:
        """As of now; what the helper is ahead is taken before."""
        while self._awaited:
            await self._take()
        await self._helper.send(_Save(self._partition))
        state = await self._hear()
        assert isinstance(state, _State)
        if not self._ended:
            await self._ask(AHEAD)
        return state.saved

    async def close(self) -> None:
        """The helper ends with all of its partitions."""

    async def _ask(self, batches: int) -> None:
        self._awaited += batches
        for _ in range(batches):
            await self._helper.send(_More(self._partition))

    async def _take(self) -> bool:
        batch = await self._hear()
        assert isinstance(batch, _Batch)
        self._awaited -= 1
        for output, judged in batch.outputs:
            self._put_out(output.output(), judged)
        self.position = batch.position
        self._outcomes, self._records = batch.outcomes, batch.records
        self._ended = not batch.more
        return batch.more

    async def _hear(self) -> _FromHelper:
        message = await self._queue.get()
        if isinstance(message, _Failed):
            raise HelperFailed(message.message, message.exit_status)
        return message


# -- the helper's own side


class _Work:
    """What a helper does."""

    def __init__(self, history: History, writer: StreamWriter) -> None:
        self._history = history
        self._writer = writer
        self._sides: dict[int, IngressSide] = {}
        self._outputs: dict[int, list[tuple[SavedOutput, bool]]] = {}

    async def do(self, message: _ToHelper) -> None:
        if isinstance(message, _Open):
            self._open(message.job)
        elif isinstance(message, _Grown):
            await self._sides[message.partition].extend(message.end)
        elif isinstance(message, _Save):
            self._send(_State(message.partition, await self._sides[message.partition].saved()))
        elif isinstance(message, _More):
            await self._advance(message.partition)
        await self._writer.drain()

    def _open(self, job: IngressJob) -> None:
        outputs = self._outputs[job.partition] = []

        def put_out(output: Output, judged: bool) -> None:
            outputs.append((SavedOutput.of(output), judged))

        self._sides[job.partition] = IngressSide.of(self._history, job, put_out)

    async def _advance(self, partition: int) -> None:
        side, outputs = self._sides[partition], self._outputs[partition]
        more = await side.advance()
        outcomes, records = side.books()
        self._send(_Batch(partition, side.position, more, list(outputs), dict(outcomes), records))
        outputs.clear()

    def _send(self, message: _FromHelper) -> None:
        _write(self._writer, message)


async def _help() -> None:
    """Do what is asked for on standard input, until that ends."""
    loop = asyncio.get_running_loop()
    reader = StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    pipe, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)
    writer = StreamWriter(pipe, protocol, None, loop)
    first = await _read(reader)
    if first is None:
        return
    source = _to_helper.decode(first)
    try:
        async with AsyncExitStack() as stack:
            history: History
            if isinstance(source, Kafka):
                history = await stack.enter_async_context(KafkaHistory(source.bootstrap, source.prefix))
            else:
                assert isinstance(source, Directory)
                history = Archive.open(Path(source.path))
            work = _Work(history, writer)
            while (frame := await _read(reader)) is not None:
                await work.do(_to_helper.decode(frame))
    except StreamsError as error:
        _write(writer, _Failed(str(error), error.exit_status))
        await writer.drain()


async def _read(reader: StreamReader) -> bytes | None:
    """The next frame; ``None`` at the end."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def _write(writer: StreamWriter, message: object) -> None:
    frame = msgspec.msgpack.encode(message)
    writer.write(len(frame).to_bytes(_LENGTH) + frame)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the verification, which ends this one
    try:
        asyncio.run(_help())
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
