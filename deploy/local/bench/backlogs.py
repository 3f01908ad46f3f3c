"""What a large backlog for a dead endpoint costs the others, and what endpoints that hang cost them."""

import asyncio
from dataclasses import dataclass

from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.subscribers import Subscriber, subscriber
from deploy.local.demo.upstream import Upstream
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import RunningSystem
from shared.kit.kafka import Kafka

WAITING = 1_000_000
#: pairs of a run without and a run with the backlog
_PAIRS = 5
_SECONDS = 6.0
_DRAINED = 2_000
_MIB = 1024 * 1024

HANGING = 500
_WAITING_FOR_EACH = 200
#: until what was sent to endpoints that hang has run into its deadline, 15 seconds by default
_OVER = 17.0

#: a connection that has nothing to do tells after ten seconds what it has read
_COUNTED_LATE = 11.0
_PAGES = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"


async def backlog(system: RunningSystem, upstream: Upstream, kafka: Kafka) -> list[Figure]:
    """A healthy subscription alone and beside a million deliveries for an endpoint that is not there, in turn."""
    async with subscriber(system, upstream, kafka) as receiving:
        few = await _pages_a_delivery(receiving)
        [port] = free_ports(1)
        dead = await receiving.with_more(1, f"http://{LOOPBACK}:{port}/hook", WAITING)
        many = await _pages_a_delivery(receiving)
        alone: list[float] = []
        beside: list[float] = []
        resident: list[float] = []
        for _ in range(_PAIRS):
            alone.append(percentile(await receiving.latencies(_SECONDS), 99) * 1000)
            await receiving.pause(dead, paused=False)
            beside.append(percentile(await receiving.latencies(_SECONDS), 99) * 1000)
            resident.append(receiving.dispatcher.memory_info().rss / _MIB)
            await receiving.pause(dead, paused=True)
    name = f"beside {WAITING:,} deliveries for a dead endpoint"
    return [
        Figure("a healthy subscription's p99, the backlog paused", "ms", alone),
        Figure(f"… {name}", "ms", beside, limit=1.5 * sorted(alone)[_PAIRS // 2], limit_is="1.5 times as much"),
        Figure(f"resident memory of the dispatcher {name}", "MiB", resident, limit=250, limit_is="promised"),
        Figure("pages that the database touches for a delivery, little waiting", "", [few]),
        Figure(f"… {name}", "", [many], limit=1.2 * few, limit_is="1.2 times as many"),
    ]


async def _pages_a_delivery(receiving: Subscriber) -> float:
    async def counted() -> int:
        # Or what filled the table would be told of in between.
        await receiving.database.execute("SELECT pg_stat_force_next_flush()")
        await asyncio.sleep(_COUNTED_LATE)
        return int(await receiving.database.fetchval(_PAGES))

    before = await counted()
    await receiving.publish(_DRAINED)
    await receiving.came(_DRAINED)
    return (await counted() - before) / _DRAINED


@dataclass(frozen=True)
class Rates:
    """Deliveries a second to a healthy endpoint, beside no, one and many that hang."""

    alone: float
    beside_one: float
    beside_many: float


async def isolation(system: RunningSystem, upstream: Upstream, kafka: Kafka, runs: int) -> list[Figure]:
    """A healthy subscription's deliveries beside no, one and five hundred subscriptions that hang, in turn."""
    async with subscriber(system, upstream, kafka) as receiving:
        hanging = await receiving.with_more(HANGING, receiving.hanging_url, _WAITING_FOR_EACH)
        rates = []
        for _ in range(runs):
            alone = await receiving.per_second(_DRAINED)
            await receiving.pause(hanging[:1], paused=False)
            beside_one = await receiving.per_second(_DRAINED)
            await receiving.pause(hanging, paused=False)
            rates.append(Rates(alone, beside_one, await receiving.per_second(_DRAINED)))
            await receiving.pause(hanging, paused=True)
            await asyncio.sleep(_OVER)
    return [
        Figure("a healthy subscription's deliveries, nothing beside it", "/s", [each.alone for each in rates]),
        Figure("… beside one that hangs, of that", "%", [each.beside_one / each.alone * 100 for each in rates],
               limit=90, limit_is="promised at least"),
        Figure(f"… beside {HANGING} that hang, of that", "%", [each.beside_many / each.alone * 100 for each in rates],
               limit=90, limit_is="promised at least"),
    ]  # fmt: skip
