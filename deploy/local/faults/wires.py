"""The network between the second replicas and Kafka or PostgreSQL: a relay for TCP that can be told to misbehave.

Toxiproxy would do this, but its server comes from no package registry that a laptop with Python is asked to have, and
what there is on PyPI is unmaintained or cannot be told anything while it runs. It needs no more than this: every
connection goes through here, by a port that only one process is told of.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from deploy.local.ports import LOOPBACK

_CHUNK = 65_536
_SLOW_SECONDS = 0.3
_LOOK = 0.1
_END_SECONDS = 3.0

#: what a connection leads to, `kafka` or `postgres`
End = str


class Mode(StrEnum):
    """What a process's connections suffer."""

    #: they break, and new ones are refused
    CUT = "cut"
    #: whatever they carry comes late
    SLOW = "slow"
    #: they stay open and carry nothing, until they break in the end
    NOWHERE = "nowhere"


@dataclass(eq=False)
class Wire:
    """One connection."""

    owner: str
    end: End
    inner: asyncio.StreamWriter
    outer: asyncio.StreamWriter

    def abort(self) -> None:
        """Break it, on both sides."""
        self.inner.transport.abort()
        self.outer.transport.abort()


@dataclass(frozen=True)
class Way:
    """From a port that one process is told of to one of its ends."""

    port: int
    owner: str
    end: End
    behind: int


@dataclass
class Wires:
    """All of them, and what they suffer; runs in a thread of its own."""

    ways: Collection[Way]
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _wires: set[Wire] = field(default_factory=set)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _modes: dict[tuple[str, End], Mode] = field(default_factory=dict)

    def suffer(self, owner: str, end: End, mode: Mode | None) -> None:
        """Let the connections of a process to one end suffer, or nothing more; from any thread."""
        self._loop.call_soon_threadsafe(self._suffer, owner, end, mode)

    @contextmanager
    def relaying(self) -> Iterator[None]:
        """Relay for the length of a `with` block."""
        thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        thread.start()
        try:
            for way in self.ways:
                asyncio.run_coroutine_threadsafe(self._listen(way), self._loop).result()
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._ended(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _suffer(self, owner: str, end: End, mode: Mode | None) -> None:
        before = self._modes.pop((owner, end), None)
        if mode is not None:
            self._modes[owner, end] = mode
        if mode is Mode.CUT or before is Mode.NOWHERE:
            for wire in [each for each in self._wires if (each.owner, each.end) == (owner, end)]:
                wire.abort()

    async def _listen(self, way: Way) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await self._relay(way, reader, writer)
            writer.transport.abort()

        self._servers.append(await asyncio.start_server(connected, LOOPBACK, way.port))

    async def _relay(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._modes.get((way.owner, way.end)) is Mode.CUT:
            return
        answers, asks = await asyncio.open_connection(LOOPBACK, way.behind)
        wire = Wire(way.owner, way.end, asks, writer)
        self._wires.add(wire)
        try:
            pumps = [asyncio.create_task(self._pump(wire, *ends)) for ends in ((reader, asks), (answers, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._wires.discard(wire)
            wire.abort()

    async def _ended(self) -> None:
        """Let whatever runs in the thread come to its end."""
        for server in self._servers:
            server.close()
        self._modes.clear()
        for wire in list(self._wires):
            wire.abort()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=_END_SECONDS)

    async def _pump(self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._modes.get((wire.owner, wire.end)) is Mode.SLOW:
                await asyncio.sleep(_SLOW_SECONDS)
            while self._modes.get((wire.owner, wire.end)) is Mode.NOWHERE:  # noqa: ASYNC110 -- it is aborted at its end
                await asyncio.sleep(_LOOK)
            writer.write(chunk)
            await writer.drain()
