"""The relay beside its own producer: rate from a backlog, also a very long one; the time a single event takes; idle."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

from deploy.local.bench.backlog import Backlog, backlog
from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.programs import cpu_seconds, printed, program
from deploy.local.bench.reading import latencies, reached, reader
from deploy.local.bench.relaying import PER_SECOND, SETTLE, database_of, write
from deploy.local.stack import Stack

ROWS = 200_000
WAITING = 5_000_000
ORDERS = 500
IDLE_SECONDS = 10.0

#: measured between these parts of the rows, so that neither the start nor the last small batch counts
FROM, UNTIL = 0.1, 0.9


@dataclass(frozen=True)
class Sizes:
    """How much is relayed in one measurement, and how much waits behind it in the long backlog."""

    rows: int = ROWS
    waiting: int = WAITING


@dataclass(frozen=True)
class Relayed:
    """What relaying a part of a backlog came to."""

    per_second: float
    #: microseconds of the relays' processor time per message
    cpu: float


async def relay(stack: Stack, runs: int, sizes: Sizes) -> list[Figure]:
    """All of it."""
    async with backlog(stack, "bench_relay") as outbox:
        alone, fresh, two = [], [], []
        for _ in range(runs):
            arguments = outbox.kafka.bootstrap, outbox.kafka.prefix, sizes.rows
            alone.append(float(await printed(stack, "producing", *arguments)))
            fresh.append(await _filled_and_relayed(stack, outbox, sizes.rows, relays=1))
            two.append(await _filled_and_relayed(stack, outbox, sizes.rows, relays=2))
        long, snapshot = await _behind_a_long_backlog(stack, outbox, runs, sizes)
        singles = await _single_events(stack, outbox, runs)
    usual = median(each.per_second for each in fresh)
    return [
        Figure("produce only, in the relay's transactions, one process", "/s", alone),
        _rate("relay, one process, from a backlog (at least)", fresh, 80_000, "promised"),
        Figure("… CPU per message", "µs", [each.cpu for each in fresh]),
        _rate("relay, two processes", two, median(alone), "produce only"),
        _rate(f"relay, {sizes.waiting:,} rows waiting (at least)", long, 0.95 * usual, "95 % of the relay's rate"),
        _rate("… and an old snapshot open (at least)", snapshot, 0.85 * usual, "85 % of the relay's rate"),
        *singles,
    ]


def _rate(name: str, relayed: Sequence[Relayed], limit: float, limit_is: str) -> Figure:
    return Figure(name, "/s", [each.per_second for each in relayed], limit=limit, limit_is=limit_is)


async def _filled_and_relayed(stack: Stack, outbox: Backlog, rows: int, *, relays: int) -> Relayed:
    await outbox.clear()
    await outbox.fill(rows)
    return await _relayed(stack, outbox, rows, relays=relays)


async def _behind_a_long_backlog(
    stack: Stack, outbox: Backlog, runs: int, sizes: Sizes
) -> tuple[list[Relayed], list[Relayed]]:
    await outbox.clear()
    await outbox.fill(sizes.waiting + 2 * runs * sizes.rows)
    long = [await _relayed(stack, outbox, sizes.rows, relays=1) for _ in range(runs)]
    async with outbox.pool.acquire() as reader, reader.transaction(isolation="repeatable_read", readonly=True):
        await reader.fetchval("SELECT count(*) FROM relay_leases")
        snapshot = [await _relayed(stack, outbox, sizes.rows, relays=1) for _ in range(runs)]
    await outbox.clear()
    return long, snapshot


async def _relayed(stack: Stack, outbox: Backlog, rows: int, *, relays: int) -> Relayed:
    """Let `relays` processes begin, and measure while the next rows become readable."""
    before = await outbox.readable()
    await outbox.pool.execute("CHECKPOINT")
    async with AsyncExitStack() as running:
        arguments = outbox.dsn, outbox.kafka.bootstrap, outbox.kafka.prefix
        processes = [await running.enter_async_context(program(stack, "relaying", *arguments)) for _ in range(relays)]
        first, began, cpu = await reached(outbox, before + rows * FROM, processes)
        last, ended, cpu_then = await reached(outbox, before + rows * UNTIL, processes)
    return Relayed((last - first) / (ended - began), (cpu_then - cpu) / (last - first) * 1_000_000)


async def _single_events(stack: Stack, outbox: Backlog, runs: int) -> list[Figure]:
    """Written by the relay's own process, which tells it, and by another one, whose rows it has to look for."""
    arguments = outbox.dsn, outbox.kafka.bootstrap, outbox.kafka.prefix
    own, others, shares = [], [], []
    for _ in range(runs):
        async with reader(outbox) as consumer, program(stack, "relaying", *arguments, ORDERS):
            own.append(await latencies(consumer, ORDERS))
        async with program(stack, "relaying", *arguments) as process:
            await asyncio.sleep(SETTLE)
            database = database_of(outbox.dsn)
            async with reader(outbox) as consumer:
                reading = asyncio.create_task(latencies(consumer, ORDERS))
                await write(database, ORDERS)
                others.append(await reading)
            await database.close()
            await asyncio.sleep(SETTLE)
            before = cpu_seconds([process])
            await asyncio.sleep(IDLE_SECONDS)
            shares.append((cpu_seconds([process]) - before) / IDLE_SECONDS * 100)
    return [
        *_percentiles(f"insert → readable at {PER_SECOND}/s", own),
        *_percentiles("… written by another process", others),
        Figure("relay idle: of one core", "%", shares, limit=1, limit_is="promised"),
    ]


def _percentiles(name: str, runs: list[list[float]]) -> list[Figure]:
    p50s = [percentile(each, 50) * 1000 for each in runs]
    p99s = [percentile(each, 99) * 1000 for each in runs]
    return [
        Figure(f"{name}: p50", "ms", p50s, limit=10, limit_is="promised"),
        Figure(f"{name}: p99", "ms", p99s, limit=25, limit_is="promised"),
    ]
