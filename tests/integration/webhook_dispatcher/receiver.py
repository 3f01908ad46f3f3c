"""A subscriber's endpoint: a real HTTP server that answers as a test wants, and keeps what it was sent."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from deploy.local.ports import LOOPBACK

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Sent:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The body, once the official library has found the signature to be right."""
        return Webhook(secret).verify(self.body, self.headers)


@asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """An endpoint that takes connections and requests and never answers; its URL."""
    open_: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(writer)

    server = await asyncio.start_server(take, LOOPBACK, 0)
    try:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        for writer in open_:
            writer.close()


class Receiver:
    """Answers 200, unless other answers are waiting in `answers`."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.answers: deque[Answer] = deque()
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{LOOPBACK}:{port}/hook"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.sent.append(Sent({name.lower(): value for name, value in request.headers.items()}, body))
        answer = self.answers.popleft() if self.answers else status(200)
        return await answer(request)


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, body=body, headers=named)

    return answer


def after(event: asyncio.Event, then: Answer) -> Answer:
    """Answer once the test allows it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await event.wait()
        return await then(request)

    return answer
