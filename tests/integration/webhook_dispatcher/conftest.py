"""The dispatcher's parts on a database and topics of their own for each module."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.stack import Stack
from services.webhook_dispatcher.app import build
from services.webhook_dispatcher.settings import Settings
from shared.kit.kafka import Kafka
from shared.kit.secrets import SecretBox, new_sealing_key
from shared.kit.service import Service, migrate

from .asking import Asker, served
from .issuer import Issuer
from .receiver import Receiver
from .world import World


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    """Publishes token keys as config_service does, and issues tokens."""
    issuing = Issuer()
    await issuing.start()
    yield issuing
    await issuing.stop()


@pytest.fixture(scope="module")
async def settings(stack: Stack, issuer: Issuer, migrated_database: Callable[[str | None], Awaitable[str]]) -> Settings:
    return Settings.model_validate(
        {
            "database_url": await migrated_database("services.webhook_dispatcher"),
            "kafka": stack.kafka,
            "issuer_url": issuer.url,
            "secret_keys": new_sealing_key(),
            "topic_prefix": f"webhooks_{uuid4().hex[:12]}.",
            "partitions": 3,
            "deliver_to": "127.0.0.0/8",
            "deliver_to_ports": "9,80,443,1024-65535",
            "retry_schedule": "0.05,0.05",
            "subscription_retry_shortest": 0.01,
            "attempt_timeout": 2,
            "deliveries_per_endpoint": 10,
            "circuit_open_seconds": 0.05,
            "circuit_longest_seconds": 0.2,
            "lease_seconds": 4,
            "shutdown_grace": 2,
        }
    )


@pytest.fixture(scope="module")
async def service(settings: Settings) -> AsyncIterator[Service]:
    """The service, migrated and open; none of its roles runs."""
    built = build(settings)
    await migrate(built)
    for opened in built.opens:
        await opened()
    yield built
    for close in built.closes:
        await close()
    await built.database.close()


@pytest.fixture(scope="module")
def kafka(service: Service) -> Kafka:
    """Kafka as the service sees it."""
    return service.kafka


@pytest.fixture
async def world(service: Service, settings: Settings) -> AsyncIterator[World]:
    """A client of its own in the service."""
    made = World(service, SecretBox(settings.sealing_keys), settings.address_rule)
    yield made
    await made.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A subscriber's endpoint."""
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="module")
async def session(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    """Leads to the service's routes."""
    async with served(service) as url, aiohttp.ClientSession(url) as opened:
        yield opened


@pytest.fixture
def asker(session: aiohttp.ClientSession, issuer: Issuer, world: World) -> Asker:
    """The client of `world`, over HTTP."""
    return Asker(session, world.client_id, issuer.token(world.client_id))
