"""A network that can be broken: a TCP proxy, and a broker that sends its clients through it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

from streams.kafka import LocalKafka
from streams.kafka.broker import free_port

_PIECE = 1 << 16


class TcpProxy:
    """Passes on what comes, until it is told otherwise.

    Args:
        port: Where it listens, on 127.0.0.1.
        target: The port that it passes on to.

    Attributes:
        delay: Seconds that everything is held back.
        refusing: Whether new connections are closed at once.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.delay = 0.0
        self.refusing = False
        self.passed = 0
        """Bytes, both ways."""
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> TcpProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.refusing = True
        jobs = list(self._connections.values())
        self.cut()
        await asyncio.gather(*jobs, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset all connections, as a router that restarts."""
        for connection in list(self._connections):
            connection.abort()

    def go_silent(self) -> None:
        """Leave the open connections open, and pass nothing on any more: neither side learns of it."""
        for connection in self._connections:
            connection.silent = True

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, writer, far_writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await asyncio.gather(
                connection.pass_on(reader, far_writer), connection.pass_on(far_reader, writer)
            )
        except OSError:
            pass
        finally:
            connection.abort()
            del self._connections[connection]


class _Connection:
    def __init__(self, proxy: TcpProxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = near, far
        self.silent = False

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            if self._proxy.delay:
                await asyncio.sleep(self._proxy.delay)
            if self.silent:
                continue  # swallowed
            self._proxy.passed += len(piece)
            writer.write(piece)
            await writer.drain()
        if not self.silent:
            self.abort()


class ProxiedKafka(LocalKafka):
    """A broker with a second address, whose clients are sent to ``proxy_port``."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.proxy_port, self.behind_proxy = free_port(), free_port()

    def _write_configuration(self, port: int) -> None:
        super()._write_configuration(port)
        more = {
            "listeners": f"PROXIED://127.0.0.1:{self.behind_proxy}",
            "advertised.listeners": f"PROXIED://127.0.0.1:{self.proxy_port}",
            "listener.security.protocol.map": "PROXIED:PLAINTEXT",
        }
        path = self.directory.server_properties
        lines = []
        for line in path.read_text().splitlines():
            name = line.partition("=")[0]
            lines.append(f"{line},{more[name]}\n" if name in more else f"{line}\n")
        path.write_text("".join(lines))
