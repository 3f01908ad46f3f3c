"""The pictures of the console in docs/console, of a system in which something is wrong: made anew by hand.

`python -m tests.docs.screenshots` needs Chromium, and half a minute. No test makes or compares them.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from aiohttp import web
from aiokafka import AIOKafkaProducer
from playwright.async_api import Page, expect

from deploy.local.ports import LOOPBACK
from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import local_stack
from tests.browser import Operator, browser
from tests.integration.all_services.estates import ITEMS, Estate, World, order_body, world_of

from .documents import REPOSITORY

PICTURES = REPOSITORY / "docs" / "console"
_SIZE = {"width": 1060, "height": 580}
_ENVIRONMENT = {"PORTFOLIO_BUS_PARTITIONS": "3", "PORTFOLIO_BUS_RETRY_SCHEDULE": "1,1,1,1,1,1,1,1"}


async def _an_account_with_a_story(world: World, client: UUID) -> str:
    made = await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    account = str(made["account_id"])
    allocation = await world.made(client, "config_service", "/portfolios/allocations", {"allocation": ITEMS})
    link = {"account_id": account, "allocation_id": allocation["allocation_id"]}
    await world.made(client, "config_service", "/portfolios/configurations", link)
    body = order_body(Estate(client, {"account_id": account}), configuration_version=1)
    await world.made(client, "order_service", "/portfolios/orders", body)
    await world.ask("config_service", "DELETE", f"/portfolios/configurations/{account}", world.token(client))
    await world.made(client, "order_service", "/portfolios/rebalancings/executions", {"accounts": [account]})
    return account


async def _something_is_wrong(system: RunningSystem, world: World, client: UUID) -> str:
    hooks = {"A book of orders": "ALL", "Nobody listens here": "PORTFOLIO_ORDER"}
    for (title, wanted), url in zip(hooks.items(), (world.receiver, "http://127.0.0.1:9/hook"), strict=True):
        await world.made(client, "webhook_dispatcher", "/webhooks", {"title": title, "url": url, "type": [wanted]})
    account = await _an_account_with_a_story(world, client)
    await _parked(system)
    await asyncio.to_thread(system.services["order_service"].kill)
    for _ in range(40):
        await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    return account


async def _parked(system: RunningSystem) -> None:
    async with AIOKafkaProducer(bootstrap_servers=system.stack.kafka) as producer:
        for n in range(4):
            await producer.send_and_wait("orders.commands.v1", b"no command", key=f"key {n}".encode())
    await asyncio.sleep(2)


@asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    """A subscriber that is content with everything."""

    async def content(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", content)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


async def _taken(page: Page, name: str) -> None:
    await page.wait_for_timeout(400)
    await page.screenshot(path=PICTURES / f"{name}.png")


async def _pictures(operator: Operator, account: str) -> None:
    page = await operator.opens("/")
    finding = page.locator("tbody tr").filter(has_text=re.compile("order_service.copies"))
    await expect(finding).to_contain_text("nobody is in the group", timeout=40_000)
    await _taken(page, "overview")
    await operator.goes(page, f"/accounts?account={account}")
    await page.locator("tbody tr").filter(has_text="SUPPRESSED").wait_for()
    await _taken(page, "account")
    await page.emulate_media(color_scheme="dark")
    await operator.goes(page, "/groups")
    await page.locator("tbody tr").first.wait_for()
    await _taken(page, "groups")
    await operator.goes(page, "/parked")
    await page.locator("tbody tr").first.wait_for()
    await _taken(page, "parked")


async def _main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with local_stack() as stack, running_system(stack, environment=_ENVIRONMENT) as system:
        console = system.start_console()
        await asyncio.to_thread(console.process.wait_ready)
        client = UUID(system.clients[0].client_id)
        async with _receiver() as hook, world_of(system, hook) as world, browser() as chromium:
            account = await _something_is_wrong(system, world, client)
            url, token = console.process.url, console.token
            async with Operator.at(chromium, url, token, viewport=_SIZE) as operator:
                await _pictures(operator, account)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
