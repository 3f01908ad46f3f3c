"""The upstream services of the story: they call the APIs, send commands, and publish rebalancing events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

from deploy.local.demo.system import System
from deploy.local.demo.telling import must
from deploy.local.services import BootstrapClient
from shared.contracts import (
    Message,
    RebalancingOrderCreated,
    RebalancingOrderStatus,
    new_envelope,
    to_record,
)
from shared.kit.kafka import Kafka

SOURCE = "/upstream-of-the-demo"


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 -- JSON is of any type
        """The body, read."""
        return orjson.loads(self.body)


class Upstream:
    """One client of the platform, by HTTP and by Kafka."""

    def __init__(self, system: System, kafka: Kafka, session: aiohttp.ClientSession) -> None:
        self._system = system
        self._kafka = kafka
        self._session = session
        self._client: BootstrapClient = system.clients[0]
        self._token = ""
        self._producer: AIOKafkaProducer | None = None

    @property
    def client_id(self) -> UUID:
        """Who it is."""
        return UUID(self._client.client_id)

    @property
    def authorization(self) -> dict[str, str]:
        """The header that its requests carry once it has signed in."""
        return {"Authorization": f"Bearer {self._token}"}

    async def sign_in(self) -> str:
        """Get a token by client credentials; answers its scopes."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client.client_id,
            "client_secret": self._client.client_secret,
        }
        url = f"{self._system.urls['config_service']}/auth/token"
        async with self._session.post(url, data=form) as response:
            must(f"the token request is answered 200, not {response.status}", response.status == 200)  # noqa: PLR2004
            granted = await response.json()
        self._token = granted["access_token"]
        return str(granted["scope"])

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        body: str | dict[str, Any] | None = None,
        *,
        key: UUID | None = None,
        replica: str | None = None,
    ) -> Answer:
        """Call a service's API; a body given as text goes out as it stands.

        A POST goes out under the idempotency key `key`, one of its own unless given. `replica` is the label under
        which the process was started that is to answer, where there are more of that service.
        """
        content = body.encode() if isinstance(body, str) else orjson.dumps(body) if body is not None else None
        headers = self.authorization | ({"Content-Type": "application/json"} if content else {})
        if method == "POST":
            headers["Idempotency-Key"] = str(key or uuid4())
        url = self._system.urls[replica or service] + path
        async with self._session.request(method, url, data=content, headers=headers) as response:
            return Answer(response.status, await response.read())

    async def send(self, message: Message) -> str:
        """Put a command or an event on its topic; answers its id."""
        envelope = new_envelope(message, source=SOURCE, client_id=self.client_id)
        record = to_record(message, envelope)
        await self.send_raw(record.topic, record.key, record.value, record.headers)
        return envelope.id

    async def send_raw(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Put anything on a topic."""
        if self._producer is None:
            self._producer = self._kafka.producer()
            await self._producer.start()
        await self._producer.send_and_wait(self._kafka.physical(topic), value, key=key, headers=headers)

    async def rebalance(self, account_id: str) -> str:
        """Publish a rebalancing event of an account, as an upstream engine would; answers the event's id."""
        return await self.send(rebalancing_of(account_id))

    async def close(self) -> None:
        """Give the producer back."""
        if self._producer is not None:
            await self._producer.stop()


@asynccontextmanager
async def upstream_of(system: System, kafka: Kafka) -> AsyncIterator[Upstream]:
    """An upstream service for the length of the block."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        upstream = Upstream(system, kafka, session)
        try:
            yield upstream
        finally:
            await upstream.close()


def rebalancing_of(account_id: str, version: int | None = None) -> RebalancingOrderCreated:
    """What an upstream engine tells of an account; without a version it means the configuration that there is."""
    now = datetime.now(UTC)
    return RebalancingOrderCreated(
        id=uuid4(),
        execution_id=None,
        account_id=UUID(account_id),
        configuration_version=version,
        status=RebalancingOrderStatus.NEW,
        cancellation_reason=None,
        created_at=now,
        updated_at=now,
    )
