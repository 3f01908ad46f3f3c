"""A receiver of webhooks on this machine, which answers as it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from .services import Services, Trouble

_PATH = "/hook"
_LARGEST = 16 * 1024 * 1024
_DISPATCHER = "webhook_dispatcher"


@dataclass(frozen=True)
class Behaviour:
    """How the receiver answers."""

    #: None never answers
    status: int | None = 200
    #: seconds, in a 429
    retry_after: int | None = None
    #: so many requests are answered so, the others with 200; None for all
    times: int | None = None


@dataclass(frozen=True)
class Delivered:
    """One request that came."""

    at: datetime
    message_id: str
    #: whether its signature is the one of our secret, and its time is now
    verified: bool
    #: the status that it was answered with, or `nothing`
    answered: str
    body: dict[str, Any] = field(repr=False)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it."""
        return list(self.body.get("payload", []))

    def as_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**vars(self), "at": self.at.isoformat()}


class Receiver:
    """Takes what is sent to it, verifies it and hands it on; subscribed for the length of a block."""

    def __init__(self, host: str, port: int, behaviour: Behaviour) -> None:
        self._host = host
        self._port = port
        self._behaviour = behaviour
        self._secret: asyncio.Future[str] = asyncio.Future()
        self._came: asyncio.Queue[Delivered] = asyncio.Queue()
        self._count = 0
        self._ends = asyncio.Event()

    @asynccontextmanager
    async def subscribed(self, services: Services, url: str | None, wanted: dict[str, object]) -> AsyncIterator[str]:
        """Listen, subscribe, and unsubscribe at the end; gives the address. Raises Trouble."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post(_PATH, self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            where = url or f"http://{self._host}:{await self._listen(runner)}{_PATH}"
            asked = {**wanted, "url": where}
            headers = {"Idempotency-Key": str(uuid4())}
            made = await services.ask(_DISPATCHER, "POST", "/webhooks", body=asked, headers=headers)
            self._secret.set_result(made["secret"])
            try:
                yield where
            finally:
                # Before we stop to listen, so that nothing fails that was on its way.
                await services.ask(_DISPATCHER, "DELETE", f"/webhooks/{made['id']}")
        finally:
            self._ends.set()
            await runner.cleanup()

    async def deliveries(self) -> AsyncIterator[Delivered]:
        """What comes, for as long as somebody wants more."""
        while True:
            yield await self._came.get()

    async def _listen(self, runner: web.AppRunner) -> int:
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as fault:
            message = f"Nothing can listen at {self._host}:{self._port} ({fault.strerror})."
            raise Trouble(message) from fault
        port: int = runner.addresses[0][1]
        return port

    async def _take(self, request: web.Request) -> web.Response:
        content = await request.read()
        secret = await self._secret
        status = self._next_status()
        self._came.put_nowait(_delivered(request, content, secret, status))
        if status is None:
            await self._ends.wait()
            status = 503
        after = self._behaviour.retry_after
        headers = {"Retry-After": str(after)} if status == 429 and after is not None else None  # noqa: PLR2004
        return web.Response(status=status, headers=headers)

    def _next_status(self) -> int | None:
        self._count += 1
        times = self._behaviour.times
        return self._behaviour.status if times is None or self._count <= times else 200


def _delivered(request: web.Request, content: bytes, secret: str, status: int | None) -> Delivered:
    try:
        Webhook(secret).verify(content, dict(request.headers))
        verified = True
    except WebhookVerificationError:
        verified = False
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    return Delivered(
        at=datetime.now(UTC),
        message_id=request.headers.get("webhook-id", ""),
        verified=verified,
        answered="nothing" if status is None else str(status),
        body=body if isinstance(body, dict) else {},
    )
