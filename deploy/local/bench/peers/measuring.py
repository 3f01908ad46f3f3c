"""One repetition with one contestant: a backlog, then single events at two rates, and what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from deploy.local.bench.figures import percentile
from deploy.local.bench.peers.contestants import Contestant
from deploy.local.bench.peers.likeness import expect_likeness
from deploy.local.bench.programs import cpu_seconds, printed
from deploy.local.bench.reading import latencies, reached, reader
from deploy.local.bench.relaying import PER_SECOND
from deploy.local.stack import Stack

#: measured between these parts of the rows, so that neither the start nor the last small batch counts
_FROM, _UNTIL = 0.1, 0.9
#: a backlog comes of many small transactions, and a reader of the log has to put each of them together
ROWS_A_TRANSACTION = 100
#: in which single events come that are not counted
UNMEASURED_SECONDS = 3
_LOOK_EVERY = 0.05

#: what was measured, by the name and the unit of its figure
Measured = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Sizes:
    """How much is measured in one repetition."""

    rows: int
    #: seconds that single events are written for, and how many a second in the busier of the two measurements
    seconds: int
    per_second: int


async def warm_up(contestant: Contestant, rows: int) -> None:
    """Let it publish a backlog that is not measured, and see that its records are what ours are."""
    outbox = contestant.outbox
    async with contestant.turn():
        await outbox.fill(rows, ROWS_A_TRANSACTION * 10)
        before = await outbox.readable()
        async with contestant.at_work() as process:
            await reached(outbox, before + rows, [process])
        await outbox.clear()
    await expect_likeness(outbox)


async def measured(stack: Stack, contestant: Contestant, sizes: Sizes, tell: Callable[[str], None]) -> Measured:
    """All of it, once; `tell` hears what is under way."""
    async with contestant.turn():
        tell(f"a backlog of {sizes.rows:,}")
        figures = await _drain(stack, contestant, sizes.rows)
        async with contestant.at_work() as process:
            tell("single events")
            # Whoever has just begun is still finding its way: once these have come, it is there.
            await _live(stack, contestant, process, PER_SECOND, UNMEASURED_SECONDS)
            for per_second in (PER_SECOND, sizes.per_second):
                tell(f"{per_second} events a second")
                figures |= await _live(stack, contestant, process, per_second, sizes.seconds)
        await contestant.outbox.clear()
    return figures


async def _drain(stack: Stack, contestant: Contestant, rows: int) -> Measured:
    """Let rows wait, then let it publish them."""
    outbox = contestant.outbox
    await outbox.fill(rows, ROWS_A_TRANSACTION)
    before = await outbox.readable()
    await outbox.pool.execute("CHECKPOINT")
    async with contestant.at_work() as process:
        first, began, cpu = await reached(outbox, before + rows * _FROM, [process])
        database = database_seconds(stack)
        last, ended, cpu_then = await reached(outbox, before + rows * _UNTIL, [process])
        database_then, memory = database_seconds(stack), process.memory_info().rss
        await reached(outbox, before + rows, [process])
        while await outbox.waiting():  # noqa: ASYNC110 -- the table tells nobody
            await asyncio.sleep(_LOOK_EVERY)
    await outbox.clear()
    thousands = (last - first) / 1000
    figures = {
        ("backlog", "/s"): (last - first) / (ended - began),
        ("backlog, processor time per 1,000", "ms"): (cpu_then - cpu) / thousands * 1000,
        ("memory, resident", "MiB"): memory / 2**20,
    }
    if database is not None and database_then is not None:
        figures["backlog, PostgreSQL's per 1,000", "ms"] = (database_then - database) / thousands * 1000
    return figures


async def _live(
    stack: Stack, contestant: Contestant, process: psutil.Process, per_second: int, seconds: int
) -> Measured:
    """Let another process write single events, and see when each of them can be read."""
    outbox, events = contestant.outbox, per_second * seconds
    async with reader(outbox) as consumer:
        reading = asyncio.create_task(latencies(consumer, events))
        try:
            cpu, database = cpu_seconds([process]), database_seconds(stack)
            arguments = outbox.dsn, contestant.writes_as, per_second, events
            written = await printed(stack, "peers.writing", *arguments)
            waits = await reading
        finally:
            reading.cancel()
        used, database_then = cpu_seconds([process]) - cpu, database_seconds(stack)
    name = f"at {per_second}/s"
    figures = {
        (f"{name}, p50", "ms"): percentile(waits, 50) * 1000,
        (f"{name}, p99", "ms"): percentile(waits, 99) * 1000,
        (f"{name}, written", "/s"): float(written),
        (f"{name}, processor time per 1,000", "ms"): used / events * 1_000_000,
    }
    if database is not None and database_then is not None:
        figures[f"{name}, PostgreSQL's per 1,000", "ms"] = (database_then - database) / events * 1_000_000
    return figures


def database_seconds(stack: Stack) -> float | None:
    """The processor time of PostgreSQL, of its connections that have ended as well; None where it is not ours."""
    node = stack.nodes.get("postgres")
    if node is None:
        return None
    server = psutil.Process(node.pid)
    times = server.cpu_times()
    ended = float(times.children_user + times.children_system)
    return ended + cpu_seconds([server, *server.children(recursive=True)])
