"""Services of the console's own, which it may stop; somebody at the command line, and somebody at a browser."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from deploy.local.services import REPOSITORY, RunningSystem, running_system
from deploy.local.services import Console as LocalConsole
from deploy.local.stack import Stack
from services.ops_console.app import build
from tests.browser import Operator, browser
from tests.conftest import PARTITIONS
from tests.integration.all_services.estates import ITEMS, Estate, World, order_body, world_of

PREFIX = f"cli{uuid4().hex[:8]}."
#: a subscriber that fails is tried again at once
QUICK = {"PORTFOLIO_BUS_PARTITIONS": str(PARTITIONS), "PORTFOLIO_BUS_RETRY_SCHEDULE": "0.2,0.2,0.2"}


@pytest.fixture(scope="package")
def system(stack: Stack) -> Iterator[RunningSystem]:
    with running_system(stack, prefix=PREFIX, environment=QUICK) as running:
        yield running


@pytest.fixture(scope="package")
async def world(system: RunningSystem, receiver: str) -> AsyncIterator[World]:
    async with world_of(system, receiver) as made:
        yield made


@pytest.fixture(scope="package")
def stack_file(system: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("stack") / "stack.json"
    path.write_text(json.dumps({**system.document(), "topic_prefix": PREFIX}))
    return path


class CommandLine:
    """Somebody at the command line."""

    def __init__(self, stack_file: Path) -> None:
        self.always = ["--stack-file", str(stack_file)]
        self.started: list[asyncio.subprocess.Process] = []

    async def types(self, *words: str, given: str = "") -> Result:
        return await asyncio.to_thread(CliRunner().invoke, build(), [*self.always, *words], input=given)

    async def sees(self, *words: str, given: str = "") -> Any:
        """The JSON that a command shows; it must not fail."""
        ran = await self.types(*words, given=given)
        assert ran.exit_code == 0, (words, ran.output, ran.exception)
        return json.loads(ran.stdout)

    async def starts(self, *words: str) -> asyncio.subprocess.Process:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.ops_console", *self.always, *words),
            cwd=REPOSITORY,
            env=os.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.started.append(started)
        return started

    def ends(self) -> None:
        """Leave nothing running, also of a test that failed."""
        for each in self.started:
            if each.returncode is None:
                each.kill()


@pytest.fixture(scope="package")
def console(stack_file: Path) -> Iterator[CommandLine]:
    made = CommandLine(stack_file)
    yield made
    made.ends()


@pytest.fixture(scope="package")
def client(system: RunningSystem) -> UUID:
    """As whom the command line acts."""
    return UUID(system.clients[0].client_id)


@pytest.fixture(scope="package")
async def account(world: World, console: CommandLine, client: UUID) -> str:
    """An account that was configured, has an order, was deleted, and was to be rebalanced after that."""
    hook = {"title": "mine", "url": world.receiver, "type": ["REBALANCING_EXECUTION_ORDER"]}
    await world.made(client, "webhook_dispatcher", "/webhooks", hook)
    made = await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    account_id = str(made["account_id"])
    allocation = await world.made(client, "config_service", "/portfolios/allocations", {"allocation": ITEMS})
    link = {"account_id": account_id, "allocation_id": allocation["allocation_id"]}
    configured = await console.sees("send", "CreateConfiguration", given=json.dumps(link))
    assert (configured["reply"], configured["resource"]["version"]) == ("CommandAccepted", 1)
    body = order_body(Estate(client, {"account_id": account_id}), configuration_version=1)
    await world.made(client, "order_service", "/portfolios/orders", body)
    await console.sees("send", "DeleteConfiguration", given=json.dumps({"account_id": account_id}))
    await world.made(client, "order_service", "/portfolios/rebalancings/executions", {"accounts": [account_id]})
    return account_id


@pytest.fixture(scope="package")
async def produces(stack: Stack) -> AsyncIterator[Callable[..., Any]]:
    async def send(topic: str, value: bytes, key: bytes | None = b"a key", headers: Any = ()) -> None:
        await producer.send_and_wait(PREFIX + topic, value, key=key, headers=list(headers))

    async with AIOKafkaProducer(bootstrap_servers=stack.kafka) as producer:
        yield send


@pytest.fixture(scope="package")
async def operator(system: RunningSystem) -> AsyncIterator[Operator]:
    """Somebody at a browser, not signed in yet."""
    async with browser() as chromium:
        console = await asyncio.to_thread(_pages_of, system)
        async with Operator.at(chromium, console.process.url, console.token) as operator:
            yield operator


def _pages_of(system: RunningSystem) -> LocalConsole:
    console = system.start_console()
    console.process.wait_ready()
    return console
