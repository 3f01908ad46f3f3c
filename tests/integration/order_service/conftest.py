"""The order service's parts on a database and topics of their own for each module."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from deploy.local.stack import Stack
from services.order_service.app import build
from services.order_service.settings import Settings
from shared.kit.auth import SigningKey
from shared.kit.service import Service, migrate

from .issuer import Issuer
from .world import World


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    """Publishes token keys as config_service does, and issues tokens."""
    issuing = Issuer(SigningKey.generate())
    await issuing.start()
    yield issuing
    await issuing.stop()


@pytest.fixture(scope="module")
async def service(
    stack: Stack, issuer: Issuer, migrated_database: Callable[[str | None], Awaitable[str]]
) -> AsyncIterator[Service]:
    """The service, migrated; nothing of it runs."""
    settings = Settings.model_validate(
        {
            "database_url": await migrated_database("services.order_service"),
            "kafka": stack.kafka,
            "issuer_url": issuer.url,
            "http_port": issuer.another_port,
            "topic_prefix": f"orders_{uuid4().hex[:12]}.",
            "partitions": 3,
            "version_wait": 0.3,
        }
    )
    built = build(settings)
    await migrate(built)
    yield built
    for close in built.closes:
        await close()
    await built.database.close()


@pytest.fixture
async def world(service: Service) -> AsyncIterator[World]:
    """A client with accounts of its own in the service."""
    made = World(service)
    yield made
    await made.close()
