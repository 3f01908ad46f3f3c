"""The subscriber: an HTTP endpoint that trusts nothing it cannot verify with the Standard Webhooks library."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks import Webhook

from deploy.local.ports import LOOPBACK


@dataclass
class Receiver:
    """What came to the endpoint, verified."""

    url: str = ""
    secret: str = ""
    #: the payload entries of all verified bodies, in the order of their coming
    events: list[dict[str, Any]] = field(default_factory=list)
    #: how many bodies had a signature that does not hold
    forged: int = 0
    #: how many requests came to the endpoint that answers 410
    refused: int = 0

    def of(self, account_id: str, kind: str) -> list[dict[str, Any]]:
        """The events of one account and type."""
        return [e for e in self.events if e["type"] == kind and e["object"].get("account_id") == account_id]

    async def take(self, request: web.Request) -> web.Response:
        """Verify and keep a body."""
        body = await request.read()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except Exception:
            self.forged += 1
            return web.Response(status=400)
        self.events.extend(orjson.loads(body)["payload"])
        return web.Response(status=204)

    async def gone(self, _: web.Request) -> web.Response:
        """An endpoint that is there no more."""
        self.refused += 1
        return web.Response(status=410)


@asynccontextmanager
async def receiving(here: str = LOOPBACK) -> AsyncIterator[Receiver]:
    """A receiver on a free port: `/hooks` takes webhooks, `/gone` answers 410; `here` is how it is reached."""
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/hooks", receiver.take), web.post("/gone", receiver.gone)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, here, 0).start()
    except OSError:
        # No address of this machine: an engine in a virtual machine hands on to loopback what it is sent there.
        await web.TCPSite(runner, LOOPBACK, 0).start()
    receiver.url = f"http://{here}:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
