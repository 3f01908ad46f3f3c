"""A subscriber that does nothing: it answers 200 as fast as it can, and tells when requests came and how late.

Run as `python -m deploy.local.bench.sink PORT`. GET answers what came since the last GET, as JSON. What is posted to
`/hang` is never answered.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from datetime import datetime

import orjson

from deploy.local.ports import LOOPBACK

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CREATED = re.compile(rb'"created_at":"([^"]+)"')


class Counter:
    """What came since it was last asked."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.latencies: list[float] = []

    def note(self, body: bytes) -> None:
        """One request has come."""
        now = time.time()
        self.moments.append(now)
        found = _CREATED.search(body)
        if found:
            self.latencies.append(now - datetime.fromisoformat(found[1].decode()).timestamp())

    def answer(self) -> bytes:
        """All of it, which begins anew."""
        told = {"count": len(self.moments), "latencies": self.latencies}
        told |= {"first": min(self.moments, default=0.0), "last": max(self.moments, default=0.0)}
        self.moments, self.latencies = [], []
        body = orjson.dumps(told)
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class _Connection(asyncio.Protocol):
    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._came, 0, end)
            length = int(found[1]) if found else 0
            if len(self._came) < end + 4 + length:
                return
            head, body = self._came[:end], self._came[end + 4 : end + 4 + length]
            self._came = self._came[end + 4 + length :]
            if head.startswith(b"GET"):
                self._transport.write(self._counter.answer())
            elif not head.startswith(b"POST /hang"):
                self._counter.note(body)
                self._transport.write(_OK)


async def _serve(port: int) -> None:
    counter = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(counter), LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
