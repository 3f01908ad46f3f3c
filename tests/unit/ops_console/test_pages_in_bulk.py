"""However much there is, a browser is sent a page of it; and however many look, it is looked at once."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect

from deploy.local.bench.crowding import GROUPS, PARKED, PARTITIONS
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import REPOSITORY
from tests.browser import Operator, browser, serious_findings
from tests.conftest import eventually

TOKEN = "a token of more than twenty characters"
ROWS = 50
#: of what a page of rows takes; 10,000 parked messages are nine megabytes
MOST_BYTES = 100_000


class Crowd:
    """The pages over the crowd, and when it is looked at."""

    def __init__(self, process: Process, operator: Operator) -> None:
        self.process, self.operator = process, operator

    async def look(self) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(b"\n")
        while not (line := await self.process.stdout.readline()).startswith(b'{"looks"'):
            assert line, "the crowd has ended"
        return json.loads(line)


@pytest.fixture(scope="module")
async def crowd() -> AsyncIterator[Crowd]:
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    async with browser() as chromium, Operator.at(chromium, url, TOKEN) as operator:
        argv = [sys.executable, "-m", "tests.unit.ops_console.crowd", str(port), TOKEN]
        process = await asyncio.create_subprocess_exec(*argv, cwd=REPOSITORY, stdin=PIPE, stdout=PIPE)
        try:
            made = Crowd(process, operator)
            await made.look()
            await eventually(lambda: _answers(url))
            yield made
        finally:
            process.terminate()
            await process.wait()


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health/live") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _counting(page: Page) -> list[int]:
    """The sizes of the messages that the page is sent from now on."""
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    return sizes


async def test_a_page_of_rows_is_sent_whatever_there_is(crowd: Crowd) -> None:
    page = await crowd.operator.opens("/")
    sizes = _counting(page)
    for path, label, total in (
        ("/parked", "Parked messages", PARKED),
        ("/groups", "Consumer groups", GROUPS),
        ("/subscriptions", "Subscriptions", 1_000),
    ):
        answer = await crowd.operator.goes(page, path)
        assert answer is not None
        assert len(await answer.body()) < MOST_BYTES, path
        await expect(page.locator("tbody tr")).to_have_count(ROWS)
        if total > ROWS:
            await expect(page.get_by_text(f"1 to {ROWS} of {total:,}")).to_be_visible()
            await page.get_by_role("button", name=f"The rows after these of {label}").click()
            await expect(page.get_by_text(f"{ROWS + 1} to {2 * ROWS} of {total:,}")).to_be_visible()
            await expect(page.locator("tbody tr")).to_have_count(ROWS)

    await crowd.operator.goes(page, "/groups")
    await page.get_by_text("A line for each partition").click()
    await expect(page.get_by_text(f"1 to {ROWS} of {PARTITIONS:,}")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(ROWS)
    assert await serious_findings(page) == []
    assert sizes
    assert max(sizes) < MOST_BYTES
    await page.close()


async def test_what_many_pages_show_is_looked_at_once(crowd: Crowd) -> None:
    pages = [await crowd.operator.opens("/groups") for _ in range(3)]
    before = (await crowd.look())["looks"]
    for number in (1, 2):
        assert (await crowd.look())["looks"] == before + number
        behind = sum(1_000 * (before + number) + partition for partition in range(PARTITIONS // GROUPS))
        for page in pages:
            await expect(page.locator("tbody tr").first).to_contain_text(f"{behind:,}")
    for page in pages:
        await page.close()
