"""How the service starts where not everything is there yet."""

import asyncio
import signal

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import RunningSystem
from tests.conftest import eventually

from .conftest import NAME


@pytest.fixture
def unmigrated(system: RunningSystem) -> RunningSystem:
    """The same, on an empty database and with topics of its own."""
    database = system.stack.create_database(f"unmigrated_{free_ports(1)[0]}")
    return RunningSystem(
        system.stack,
        databases={NAME: database},
        urls={"early": f"http://{LOOPBACK}:{free_ports(1)[0]}", NAME: "http://127.0.0.1:1"},
        environment={**system.environment, "PORTFOLIO_BUS_TOPIC_PREFIX": f"early{free_ports(1)[0]}."},
    )


async def test_a_service_that_starts_before_its_tables_says_so_and_begins_once_they_are_there(
    unmigrated: RunningSystem,
) -> None:
    early = unmigrated.start(NAME, label="early")
    try:
        async with aiohttp.ClientSession(early.url) as session:

            async def not_ready() -> str:
                return await _problem(session, 503)

            problem = await eventually(not_ready)
            assert "python -m services.config_service migrate" in problem
            assert "token keys" in problem
            async with session.get("/auth/verify_keys") as response:
                assert response.status == 503
            await asyncio.to_thread(unmigrated.migrate, NAME)
            await asyncio.to_thread(early.wait_ready)
            async with session.get("/auth/verify_keys") as response:
                assert len((await response.json())["keys"]) == 1
    finally:
        await asyncio.to_thread(early.stop)
    assert early.exit_code() == 0


async def _problem(session: aiohttp.ClientSession, status: int) -> str:
    try:
        async with session.get("/health/ready") as response:
            return await response.text() if response.status == status else ""
    except aiohttp.ClientConnectionError:
        return ""


async def test_a_service_that_waits_for_its_tables_can_be_stopped(unmigrated: RunningSystem) -> None:
    early = unmigrated.start(NAME, label="early")

    async def answers() -> bool:
        async with aiohttp.ClientSession(early.url) as session:
            return bool(await _problem(session, 503))

    await eventually(answers)
    early.send_signal(signal.SIGTERM)

    async def ended() -> bool:
        return not early.alive()

    await eventually(ended, seconds=10)
    assert early.exit_code() == 0
