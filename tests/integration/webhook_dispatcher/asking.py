"""The dispatcher's API, served within the test's own process, and a client that asks it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from shared.kit.http import Server, create_app
from shared.kit.liveness import Liveness, Readiness
from shared.kit.service import Service
from tests.conftest import eventually


@dataclass(frozen=True)
class Answer:
    """What the service answered."""

    status: int
    body: Any
    #: by their names in any case
    headers: Mapping[str, str]

    @property
    def at_fault(self) -> list[str]:
        """The fields that a problem document names."""
        return [error["location"] for error in self.body["errors"]]


@dataclass
class Asker:
    """A client, signed in."""

    session: aiohttp.ClientSession
    client_id: UUID
    token: str

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": str(uuid4()), **headers}
        async with self.session.request(method, path, json=body, headers=sent) as response:
            read = await response.json(content_type=None) if await response.read() else None
            return Answer(response.status, read, response.headers)

    async def subscribed(self, url: str, **fields: Any) -> dict[str, Any]:
        asked = {"title": "mine", "url": url, "type": ["ALL"], **fields}
        answer = await self.ask("POST", "/webhooks", asked)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.body
        return made

    async def changed(self, subscription: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        answer = await self.ask("PATCH", f"/webhooks/{subscription['id']}", fields)
        assert answer.status == 200, answer.body
        shown: dict[str, Any] = answer.body
        return shown

    async def tested(self, subscription: Mapping[str, Any]) -> dict[str, Any]:
        """The delivery of a test event."""
        answer = await self.ask("POST", f"/webhooks/{subscription['id']}/test")
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.body
        return made

    async def in_state(self, delivery: Mapping[str, Any], *states: str) -> dict[str, Any]:
        """A delivery, once it is in one of these states."""

        async def there() -> Any:
            shown = (await self.ask("GET", f"/deliveries/{delivery['id']}")).body
            return shown if shown["state"] in states else None

        found: dict[str, Any] = await eventually(there)
        return found

    async def attempts(self, delivery: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask("GET", f"/deliveries/{delivery['id']}/attempts")).body["data"]
        return found


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[str]:
    """The base URL of a service's routes."""
    app = create_app(
        title=service.name,
        version="1",
        routers=service.routers,
        liveness=Liveness(),
        readiness=Readiness(),
        verifier=service.verifier,
    )
    server = Server(app, service.settings)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving
