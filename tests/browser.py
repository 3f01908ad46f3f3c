"""Debian's Chromium, without a window, for what people see; where there is none, only CI insists on it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Response, async_playwright, expect

#: what axe-core calls them; the others are worth a look, and no reason to stop
SERIOUS = {"serious", "critical"}
_CONTRAST = {"type": "rule", "values": ["color-contrast"]}
_PATIENCE_MS = 20_000
#: nobody looks: no smooth lines, no second frame where one will do
_CHEAP = ("--disable-gpu", "--disable-smooth-scrolling", "--force-prefers-reduced-motion", "--disable-extensions")


def chromium() -> str:
    """Where it is; skips the test where there is none, and fails it in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "There is no Chromium: install the package `chromium`, and what people see is tested as well."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser for the length of the block."""
    path = chromium()
    # A page shows what is looked at every few seconds, on a machine that does other things as well.
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        # A browser of root's does not start in its sandbox.
        arguments = [*_CHEAP, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        running = await playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield running
        finally:
            await running.close()


@dataclass
class Operator:
    """Somebody who looks at the pages of one console."""

    url: str
    token: str = field(repr=False)
    context: BrowserContext = field(repr=False)
    #: where the browser has asked, WebSockets included
    hosts: set[str] = field(default_factory=set)
    #: what has gone wrong in the pages' scripts
    faults: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def at(cls, chromium: Browser, url: str, token: str, **options: Any) -> AsyncIterator["Operator"]:
        """With a browser of their own, for the length of the block."""
        context = await chromium.new_context(**options)
        context.set_default_timeout(_PATIENCE_MS)
        try:
            operator = cls(url, token, context)
            context.on("request", lambda request: operator.hosts.add(urlsplit(request.url).netloc))
            yield operator
        finally:
            await context.close()

    async def opens(self, path: str) -> Page:
        """The page, in a tab of its own; signs in where that is asked for."""
        page = await self.context.new_page()
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))
        await self.goes(page, path)
        return page

    async def goes(self, page: Page, path: str) -> Response | None:
        """On to another page, until it answers to what is typed; signs in where that is asked for."""
        answer = await page.goto(self.url + path)
        if urlsplit(page.url).path == "/sign-in":
            await page.get_by_label("Operator token").fill(self.token)
            await page.keyboard.press("Enter")
        await page.locator("main h1").wait_for()
        await page.wait_for_function("window.did_handshake")
        return answer


#: what comes in or goes is half transparent meanwhile, and its colours are nobody's choice
_MOTION_ENDED = """
async () => {
    // What was just put on the page begins to move with the next frame.
    await new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))
    await Promise.allSettled(document.getAnimations()
        .filter(each => each.effect.getComputedTiming().endTime !== Infinity)
        .map(each => each.finished))
}
"""


async def serious_findings(page: Page, within: str = "html", *, colours_alone: bool = False) -> list[str]:
    """What axe-core finds on the page (or a part of it) once it has come to rest, and takes seriously."""
    await page.evaluate(_MOTION_ENDED)
    if not await page.evaluate("'axe' in window"):
        script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        await page.evaluate(f"{script}; null")
    options = {"resultTypes": ["violations"]} | ({"runOnly": _CONTRAST} if colours_alone else {})
    found: dict[str, Any] = await page.evaluate("([within, options]) => axe.run(within, options)", [within, options])
    return [
        f"{each['id']}: {node['html']}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
