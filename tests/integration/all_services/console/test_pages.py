"""The console's pages in a real browser, against the running services."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from playwright.async_api import Page, expect

from deploy.local.services import RunningSystem
from tests.browser import Operator, serious_findings
from tests.conftest import eventually
from tests.integration.all_services.estates import ITEMS, World

from .conftest import QUICK

ORDERS = "order_service"
DISPATCHER = "webhook_dispatcher"
COPIES = "order_service.copies"
OLDER = f"{__package__}.older"


@pytest.fixture(autouse=True)
async def every_service_runs(system: RunningSystem) -> None:
    if not system.services[ORDERS].alive():
        await _starts(system, ORDERS)


async def _starts(system: RunningSystem, service: str, module: str | None = None) -> None:
    await asyncio.to_thread(system.services[service].stop)
    started = system.start(service, environment=QUICK, module=module)
    await asyncio.to_thread(started.wait_ready)


async def _an_account(world: World, client: UUID) -> str:
    made = await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    return str(made["account_id"])


async def _row(page: Page, *texts: str) -> list[str]:
    """The cells of the first row that has all of the texts; none where there is no such row."""
    rows = page.locator("tbody tr")
    for text in texts:
        rows = rows.filter(has_text=text)
    return [cell.strip() for cell in await rows.first.locator("td").all_inner_texts()] if await rows.count() else []


async def test_whoever_has_not_signed_in_sees_the_form_and_nothing_else(operator: Operator) -> None:
    url = operator.url
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        for path in ("/", "/parked", "/accounts?account=1", "/docs", "/openapi.json", "/nothing"):
            async with session.get(url + path) as answer:
                assert answer.url.path == "/sign-in", path
                assert "Operator token" in await answer.text()
        for path in ("/_nicegui/3/static/nicegui.js", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
            async with session.get(url + path) as answer:
                assert answer.status == 401, path
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url}/_nicegui_ws/socket.io/?EIO=4&transport=websocket")

        async with session.post(f"{url}/sign-in", data={"token": "a guess"}, allow_redirects=False) as answer:
            assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
        right = {"token": operator.token}
        async with session.post(f"{url}/sign-in", data=right, headers={"Origin": "http://elsewhere"}) as answer:
            assert answer.status == 403
        async with session.post(f"{url}/sign-in?next=//elsewhere", data=right, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        tampered = cookie.partition(";")[0][:-2] + "xx"
        async with session.get(url, headers={"Cookie": tampered}) as answer:
            assert answer.url.path == "/sign-in"


async def test_every_page_is_readable_in_light_and_dark_holds_no_secret_and_loads_nothing_from_elsewhere(
    operator: Operator, system: RunningSystem
) -> None:
    secrets = [operator.token, *(each.client_secret for each in system.clients), *system.databases.values()]
    page = await operator.context.new_page()
    await page.goto(f"{operator.url}/sign-in")
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert await serious_findings(page, colours_alone=scheme == "dark") == [], scheme
    await page.close()

    page = await operator.opens("/")
    paths = [await link.get_attribute("href") for link in await page.locator("nav a").all()]
    assert len(paths) == 7
    for path in paths:
        await operator.goes(page, str(path))
        await expect(page.locator("nav a[aria-current=page]")).to_have_attribute("href", str(path))
        if path != "/accounts":
            await expect(page.locator("[role=status]").first).to_be_visible()
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await expect(page.locator("body.body--dark")).to_have_count(1 if scheme == "dark" else 0)
            assert await serious_findings(page, colours_alone=scheme == "dark") == [], (path, scheme)
        content = await page.content()
        assert not [secret for secret in secrets if secret in content], path
    assert operator.hosts == {operator.url.removeprefix("http://")}
    assert operator.faults == []
    await page.close()


async def test_the_pages_can_be_walked_by_keyboard_alone(operator: Operator) -> None:
    page = await operator.opens("/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="To the content")).to_be_focused()
    for _ in range(4):
        await page.keyboard.press("Tab")
    await expect(page.locator("nav").get_by_role("link", name="Parked")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/parked")
    await page.get_by_role("button", name="Redrive all that match").press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("messages wait of every group")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.close()


async def test_a_consumer_that_stops_is_the_verdict_within_15_seconds_and_its_lag_is_seen_to_grow(
    operator: Operator, system: RunningSystem, world: World, client: UUID
) -> None:
    overview, groups = await operator.opens("/"), await operator.opens("/groups")
    finding = overview.locator("tbody tr").filter(has_text=COPIES)
    await expect(overview.locator("#verdict")).not_to_contain_text("Looking", timeout=15_000)
    await expect(finding).to_have_count(0, timeout=15_000)

    system.services[ORDERS].kill()
    killed = time.monotonic()
    await _an_account(world, client)

    async def stands_still() -> list[str] | None:
        cells = await _row(groups, COPIES, "accounts.events.v1")
        return cells if cells and cells[1] in {"STALLED", "STOPPED"} and int(cells[5]) else None

    before = await eventually(stands_still, seconds=15, every=0.3)
    await expect(overview.locator("#verdict")).to_contain_text(re.compile("order_service"), timeout=5_000)
    assert time.monotonic() - killed < 15

    await _an_account(world, client)
    await eventually(lambda: _has_grown(groups, int(before[5])), seconds=10, every=0.3)
    await expect(finding).to_contain_text("nobody is in the group", timeout=15_000)
    await expect(finding).to_contain_text("Start order_service with the role consumers.")

    await _starts(system, ORDERS)
    await expect(finding).to_have_count(0, timeout=20_000)
    await overview.close()
    await groups.close()


async def _has_grown(groups: Page, before: int) -> bool:
    cells = await _row(groups, COPIES, "accounts.events.v1")
    return bool(cells) and int(cells[5]) > before and cells[6] != "-"


async def test_a_poison_message_is_seen_redriven_once_its_cause_is_mended_and_gone(
    operator: Operator, system: RunningSystem, world: World, client: UUID
) -> None:
    hook = {"title": "allocations", "url": world.receiver, "type": ["PORTFOLIO_ALLOCATION.CREATED"]}
    subscription = await world.made(client, DISPATCHER, "/webhooks", hook)
    page = await operator.opens("/parked")
    await _starts(system, DISPATCHER, OLDER)
    made = await world.made(client, "config_service", "/portfolios/allocations", {"allocation": ITEMS})
    row = page.locator("tbody tr").filter(has_text="webhook_dispatcher.events").filter(has_text="AllocationCreated")
    await expect(row).to_have_count(1)

    await row.get_by_role("button", name=re.compile("^Show")).click()
    dialog = page.get_by_role("dialog")
    for told in (made["allocation_id"], "ce_type", "unknown_type", "allocations.events.v1"):
        await expect(dialog).to_contain_text(told)
    assert await serious_findings(page, "[role=dialog]") == []
    await dialog.get_by_role("button", name="Close").click()

    await _starts(system, DISPATCHER)
    await row.get_by_role("button", name=re.compile("^Redrive")).click()
    await expect(row).to_have_count(0)

    async def delivered() -> Any:
        path = f"/webhooks/{subscription['id']}/deliveries?state=DELIVERED"
        return (await world.ask(DISPATCHER, "GET", path, world.token(client))).body["data"]

    assert [each["event_type"] for each in await eventually(delivered, every=0.1)] == ["PORTFOLIO_ALLOCATION.CREATED"]
    await page.get_by_text("Also those that were sent back").click()
    await expect(row).to_contain_text("sent back")
    await page.close()


async def test_a_message_that_nobody_can_mend_is_seen_within_5_seconds_and_again_after_its_redrive(
    operator: Operator, produces: Callable[..., Any]
) -> None:
    page = await operator.opens("/parked")
    poison = f"no command {uuid4()}"
    await produces("rebalancings.commands.v1", poison.encode(), b"<b>a key</b>")
    row = page.locator("tbody tr").filter(has_text="rebalancings.commands.v1")
    await expect(row).to_have_count(1, timeout=5_000)
    before = (await _row(page, "rebalancings.commands.v1"))[0]

    await page.get_by_role("button", name="Redrive all that match").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("go back to their groups")
    await dialog.get_by_role("button", name="Redrive them").click()

    async def parked_again() -> bool:
        cells = await _row(page, "rebalancings.commands.v1")
        return bool(cells) and cells[0] > before

    await eventually(parked_again, every=0.3)
    await row.get_by_role("button", name=re.compile("^Show")).click()
    await expect(dialog).to_contain_text(poison)
    await expect(dialog).to_contain_text("<b>a key</b>")
    await page.close()


async def test_an_accounts_timeline_tells_its_deletion_its_cancelled_order_and_its_suppressed_event_in_order(
    operator: Operator, account: str
) -> None:
    page = await operator.opens(f"/accounts?account={account}")
    suppressed = page.locator("tbody tr").filter(has_text="SUPPRESSED NOT_CONFIGURED")
    await expect(suppressed).to_have_count(1)
    told = [await cells.nth(2).inner_text() for cells in [row.locator("td") for row in await _rows(page)]]
    in_this_order = [
        "ConfigurationDeleted",
        "OrderCancelled",
        "RebalancingOrderCancelled",
        "delivery of REBALANCING_EXECUTION_ORDER.CANCELLED",
    ]
    assert [each for each in told if each in in_this_order] == in_this_order
    assert await serious_findings(page) == []
    await page.close()


async def _rows(page: Page) -> list[Any]:
    return list(await page.locator("tbody tr").all())


async def test_a_subscription_shows_how_its_endpoint_does_and_is_paused_and_resumed(
    operator: Operator, world: World, client: UUID
) -> None:
    title = f"watched {uuid4().hex[:8]}"
    hook = {"title": title, "url": f"{world.receiver}?secret=x", "type": ["ACCOUNT.CREATED"]}
    made = await world.made(client, DISPATCHER, "/webhooks", hook)
    await _an_account(world, client)
    page = await operator.opens("/subscriptions")
    await page.get_by_label("Only titles, hosts or clients with").fill(title)
    row = page.locator("tbody tr").filter(has_text=title)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(row).to_contain_text("100 %")
    cells = await _row(page, title)
    host = world.receiver.removeprefix("http://").partition("/")[0]
    assert (cells[1], cells[3:5]) == (host, ["OK", "CLOSED"]), "no path and no query"

    for does, state in (("Pause", "PAUSED"), ("Resume", "OK")):
        await page.get_by_role("button", name=f"{does} {made['id']}").click()
        await expect(row.locator("td").nth(3)).to_have_text(state)
        answer = await world.ask(DISPATCHER, "GET", f"/webhooks/{made['id']}", world.token(client))
        assert (answer.body["paused_at"] is not None) == (state == "PAUSED")
    await page.close()
