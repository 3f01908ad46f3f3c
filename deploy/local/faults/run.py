"""One run from its first request to its verdict."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import aiohttp
from rich.console import Console

from deploy.local.faults.bus import Sender
from deploy.local.faults.checks import Violation, violations_of
from deploy.local.faults.driver import drive, prepare
from deploy.local.faults.evidence import Evidence
from deploy.local.faults.gather import gathered
from deploy.local.faults.ledger import Ledger
from deploy.local.faults.nemesis import Nemesis
from deploy.local.faults.stage import Stage
from deploy.local.faults.upstream import Upstream
from deploy.local.faults.watch import Watch
from deploy.local.faults.world import Pace, World
from shared.kit.kafka import Kafka

_TELL_SECONDS = 5.0
_LOOK = 1.0
_THREADS = 32


async def play(stage: Stage, console: Console) -> tuple[Evidence, list[Violation]]:
    """Let it happen, wait until all rests, and look; Ctrl-C ends the load early, and what was seen is still told."""
    kafka = Kafka(stage.stack.kafka, client_id="faults")
    # Several faults wait for processes at a time, each in a thread.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    with Ledger(stage.folder / "ledger.jsonl") as ledger:
        watch = Watch(stage, ledger, kafka)
        async with _world(stage, kafka, ledger) as world:
            left = await _under_load(stage, world, watch, console)
    console.print("reading topics, databases and ledger …")
    evidence = await gathered(stage, kafka, left)
    return evidence, violations_of(evidence)


async def _under_load(stage: Stage, world: World, watch: Watch, console: Console) -> dict[str, int]:
    stop = asyncio.Event()
    chance = random.Random(stage.plan.seed + 1)  # noqa: S311 -- moments, not secrets
    nemesis = Nemesis(stage, world.ledger, watch, chance)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    background = [
        asyncio.create_task(each)
        for each in (
            world.listen(),
            watch.run(),
            nemesis.operate(),
            _progress(world, watch, nemesis, console),
            _end_where_it_stands_still(world, stage, stop, console),
        )
    ]
    try:
        await prepare(world, stage.plan, stage.hooks)
        driving = asyncio.create_task(drive(world, stage.plan))
        driving.add_done_callback(lambda _: stop.set())  # nothing is to be broken without a load
        await nemesis.rage(stop)
        world.over.set()
        console.print("all faults have come; waiting until everything rests …")
        return await _rest(stage, watch, driving)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


async def _rest(stage: Stage, watch: Watch, driving: asyncio.Task[None]) -> dict[str, int]:
    """Wait for the driver and for the system; answers what is left when that, or the patience, is over."""
    # What was asked for last has its delay to wait before it may rest.
    deadline = time.monotonic() + stage.plan.delay + stage.plan.patience
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(driving), stage.plan.patience)
    left = await watch.left()
    while any(left.values()) and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK)
        left = await watch.left()
    driving.cancel()
    with suppress(asyncio.CancelledError):
        await driving
    return left


async def _end_where_it_stands_still(world: World, stage: Stage, stop: asyncio.Event, console: Console) -> None:
    await stands_still(world.ledger, stage.plan.patience)
    console.print(f"the load stands still: nothing was answered for {stage.plan.patience:.0f} s, and no more is broken")
    stop.set()


async def stands_still(ledger: Ledger, seconds: float) -> None:
    """Wait until nothing has been answered for so long: more faults would find nothing under way."""
    told, since = 0, time.monotonic()
    while time.monotonic() - since < seconds:
        await asyncio.sleep(min(_LOOK, seconds / 4))
        now_told = ledger.counts.get("told", 0)
        if now_told != told:
            told, since = now_told, time.monotonic()


async def _progress(world: World, watch: Watch, nemesis: Nemesis, console: Console) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        counts = world.ledger.counts
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(nemesis.done.items()))
        console.print(
            f"{time.monotonic() - began:6.0f} s  {counts.get('asked', 0):,} asked for, "
            f"{watch.in_flight():,} in flight, {watch.deliveries:,} deliveries open; "
            f"{nemesis.done.total()} of {nemesis.stage.plan.kills} faults{': ' if faults else ''}{faults}"
        )


@asynccontextmanager
async def _world(stage: Stage, kafka: Kafka, ledger: Ledger) -> AsyncIterator[World]:
    chance = random.Random(stage.plan.seed)  # noqa: S311 -- fates, not secrets
    sender = Sender(kafka)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        upstreams = [Upstream(client, stage.urls, session, ledger) for client in stage.system.clients]
        try:
            yield World(kafka, sender, ledger, upstreams, chance, Pace(stage.plan.rate))
        finally:
            await sender.close()
