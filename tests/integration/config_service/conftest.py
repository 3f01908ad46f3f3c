"""config_service as a process of its own on the real Kafka and PostgreSQL; the tests stay apart by their clients."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import RunningSystem
from deploy.local.stack import Stack
from services.config_service import use_cases
from shared.kit.kafka import Kafka
from shared.kit.outbox import Outbox
from shared.kit.secrets import new_sealing_key
from shared.kit.settings import async_url
from shared.kit.unit_of_work import Database
from tests.conftest import PARTITIONS

from .callers import ALL_SCOPES, Caller

NAME = "config_service"
#: of this run alone: the stack may be a lasting one
PREFIX = f"config{uuid4().hex[:8]}."

NewCaller = Callable[..., Awaitable[Caller]]


@pytest.fixture(scope="package")
def system(stack: Stack) -> Iterator[RunningSystem]:
    running = RunningSystem(
        stack,
        databases={NAME: stack.create_database(f"config_service_{uuid4().hex[:8]}")},
        urls={NAME: f"http://{LOOPBACK}:{free_ports(1)[0]}"},
        environment={
            "PORTFOLIO_BUS_KAFKA": stack.kafka,
            "PORTFOLIO_BUS_SECRET_KEYS": new_sealing_key(),
            "PORTFOLIO_BUS_TOPIC_PREFIX": PREFIX,
            "PORTFOLIO_BUS_PARTITIONS": str(PARTITIONS),
        },
    )
    running.start(NAME, migrating=True).wait_ready()
    yield running
    for service in running.services.values():
        service.stop()


@pytest.fixture(scope="package")
def kafka(stack: Stack, system: RunningSystem) -> Kafka:
    """Kafka as the service sees it."""
    del system
    return Kafka(stack.kafka, PREFIX, client_id="test")


@pytest.fixture(scope="package")
async def database(system: RunningSystem) -> AsyncIterator[Database]:
    """The service's own database."""
    made = Database(async_url(system.databases[NAME]), Outbox("/test", PARTITIONS), pool_size=5, application="test")
    yield made
    await made.close()


@pytest.fixture
async def session(system: RunningSystem) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(system.urls[NAME]) as opened:
        yield opened


@pytest.fixture
def new_caller(session: aiohttp.ClientSession, database: Database) -> NewCaller:
    """Makes a client of its own and signs it in."""

    async def make(scopes: str = ALL_SCOPES) -> Caller:
        async with database.unit_of_work() as work:
            credentials = await use_cases.create_client(work, "a test", scopes)
        caller = Caller(session, credentials)
        await caller.sign_in()
        return caller

    return make


@pytest.fixture
async def caller(new_caller: NewCaller) -> Caller:
    return await new_caller()


@pytest.fixture
async def stranger(new_caller: NewCaller) -> Caller:
    """Another client."""
    return await new_caller()
