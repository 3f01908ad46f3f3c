"""All services as processes on one stack, each telling what its requests cost, and a client's whole estate in them."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from aiohttp import web

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import Stack
from tests.collector import Collector, collecting
from tests.conftest import PARTITIONS

from .estates import World, world_of


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    """Where the services send their traces."""
    with collecting() as made:
        yield made


@pytest.fixture(scope="package")
def system(stack: Stack, collector: Collector) -> Iterator[RunningSystem]:
    prefix = f"all{uuid4().hex[:8]}"
    environment = {
        "PORTFOLIO_BUS_PARTITIONS": str(PARTITIONS),
        # Nobody's test waits for the half minute that a body may usually take.
        "PORTFOLIO_BUS_BODY_SECONDS": "1.5",
        # A recovery that runs can be cancelled; nobody goes on with it.
        "PORTFOLIO_BUS_WITHOUT": "recoveries",
        "PORTFOLIO_BUS_TRACES_URL": collector.url,
    }
    counting = f"{__package__}.counting"
    with running_system(stack, prefix=prefix, environment=environment, module=counting) as running:
        yield running


@pytest.fixture(scope="package")
async def receiver() -> AsyncIterator[str]:
    """The address of a subscriber that is content with everything."""

    async def content(_: web.Request) -> web.Response:
        return web.Response()

    (port,) = free_ports(1)
    app = web.Application()
    app.router.add_post("/hook", content)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    yield f"http://{LOOPBACK}:{port}/hook"
    await runner.cleanup()


@pytest.fixture(scope="package")
async def world(system: RunningSystem, receiver: str) -> AsyncIterator[World]:
    async with world_of(system, receiver) as made:
        yield made
