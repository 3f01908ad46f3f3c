"""What the console's overview takes, over a Kafka that is fuller than installations have it."""

import asyncio
import json
import time
from dataclasses import dataclass
from statistics import median

import aiohttp
import psutil

from deploy.local.bench.crowding import GROUPS, PARKED, PARTITIONS
from deploy.local.bench.figures import Figure
from deploy.local.bench.programs import printed
from deploy.local.services import Console, RunningSystem

#: of each run, besides the first one
OVERVIEWS = 20

_LOOKED = 5
_SEEN_WITHIN = 180.0
_LOOK_EVERY = 0.5
_MB = 1_000_000
_SECOND = 1000.0


@dataclass(frozen=True)
class Shown:
    """One console process from its start; times in milliseconds, memory in megabytes."""

    first: float
    #: seconds until everything was looked at
    all_seen: float
    later: list[float]
    resident: float


async def overviews(system: RunningSystem, runs: int) -> list[Figure]:
    """The looks alone, then the overview of a console that looks meanwhile, in a process of its own for each run."""
    await printed(system.stack, "crowding", system.stack.kafka)
    looks = json.loads(await printed(system.stack, "looking", system.stack.kafka, _LOOKED))
    pages = await asyncio.to_thread(system.start_console)
    await asyncio.to_thread(pages.process.wait_ready)
    shown = [await _shown(pages)]
    for _ in range(1, runs):
        await asyncio.to_thread(pages.process.restart)
        shown.append(await _shown(pages))
    await asyncio.to_thread(pages.process.stop)
    crowd = f"{PARTITIONS:,} partitions, {GROUPS} groups, {PARKED:,} parked"
    return [
        Figure(f"overview over {crowd}", "ms", [median(each.later) for each in shown], _SECOND, "promised"),
        Figure(f"… slowest of {OVERVIEWS}", "ms", [max(each.later) for each in shown], _SECOND, "promised"),
        Figure("… first of a new process", "ms", [each.first for each in shown], _SECOND, "promised"),
        Figure("… resident memory afterwards", "MB", [each.resident for each in shown], 200, "promised"),
        Figure("… from the first overview until everything was seen", "s", [each.all_seen for each in shown]),
        Figure("one look at all groups", "s", looks["groups"]),
        Figure("reading all parked messages", "s", looks["parked"][:1]),
        Figure("one look for more of them", "s", looks["parked"][1:]),
        Figure("one look at all topics", "s", looks["topics"]),
    ]


async def _shown(pages: Console) -> Shown:
    async with aiohttp.ClientSession(pages.process.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post("/sign-in", data={"token": pages.token}, allow_redirects=False) as answer:
            answer.raise_for_status()
        began = time.monotonic()
        _, first = await _overview(session)
        async with asyncio.timeout(_SEEN_WITHIN):
            while not _shows_everything((await _overview(session))[0]):  # noqa: ASYNC110 -- the page tells nobody
                await asyncio.sleep(_LOOK_EVERY)
        seen = time.monotonic() - began
        later = [(await _overview(session))[1] for _ in range(OVERVIEWS)]
    return Shown(first, seen, later, psutil.Process(pages.process.pid).memory_info().rss / _MB)


def _shows_everything(page: str) -> bool:
    return "not seen yet" not in page and f"{PARKED:,}" in page


async def _overview(session: aiohttp.ClientSession) -> tuple[str, float]:
    """The page, and the milliseconds from the request to its last byte."""
    began = time.monotonic()
    async with session.get("/") as answer:
        answer.raise_for_status()
        page = await answer.text()
    return page, (time.monotonic() - began) * 1000
