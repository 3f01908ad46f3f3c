"""A subscriber that answers at once, and events for it: what all measurements of deliveries share."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import psutil

from deploy.local.bench.orders import an_order
from deploy.local.demo.telling import must
from deploy.local.demo.upstream import SOURCE, Upstream
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.services import REPOSITORY, RunningSystem
from shared.contracts import new_envelope, to_record
from shared.kit.kafka import Kafka

DISPATCHER = "webhook_dispatcher"
PER_SECOND = 50
_GIVE_UP = 180.0
_WARM_UP = 100

#: Subscriptions like a given one, to another address and for what nobody publishes here.
_MORE = """
WITH made AS (
    INSERT INTO subscriptions
    SELECT (jsonb_populate_record(s, jsonb_build_object(
        'id', gen_random_uuid(), 'url', $2::text, 'types', ARRAY['PORTFOLIO_ALLOCATION']))).*
    FROM subscriptions AS s, generate_series(1, $3) WHERE s.id = $1
    RETURNING id),
endpoints AS (INSERT INTO endpoints (subscription_id) SELECT id FROM made)
SELECT id FROM made
"""

_WAITING = """
INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time, event_type,
                        gated, body, state)
SELECT gen_random_uuid(), s.id, s.client_id, gen_random_uuid(), '/bench', n, now(), 'PORTFOLIO_ALLOCATION.CREATED',
       false, convert_to('{"payload":[]}', 'UTF8'), 'WAITING'
FROM subscriptions AS s, generate_series(1, $2) AS n WHERE s.id = ANY($1::uuid[])
"""

_PAUSE = "UPDATE subscriptions SET paused_at = CASE WHEN $2 THEN now() END WHERE id = ANY($1::uuid[])"


@dataclass(frozen=True)
class Subscriber:
    """One subscription whose endpoint answers at once, and what has come there."""

    system: RunningSystem
    upstream: Upstream
    kafka: Kafka
    session: aiohttp.ClientSession
    database: asyncpg.Connection
    url: str
    id: UUID
    secret: str = field(repr=False)

    @property
    def dispatcher(self) -> psutil.Process:
        """The process that sends."""
        return psutil.Process(self.system.services[DISPATCHER].pid)

    @property
    def hanging_url(self) -> str:
        """The same server, which never answers there."""
        return self.url.replace("/hook", "/hang")

    async def publish(self, count: int) -> None:
        """Put so many events on their topic, as fast as Kafka takes them."""
        producer = self.kafka.producer()
        await producer.start()
        try:
            for _ in range(count):
                order = an_order(uuid4())
                record = to_record(order, new_envelope(order, source=SOURCE, client_id=self.upstream.client_id))
                topic = self.kafka.physical(record.topic)
                await producer.send(topic, record.value, key=record.key, headers=record.headers)
        finally:
            await producer.stop()

    async def came(self, count: int) -> dict[str, Any]:
        """What the subscriber says once so many requests have come."""
        told: dict[str, Any] = {"count": 0, "latencies": [], "first": float("inf"), "last": 0.0}
        async with asyncio.timeout(_GIVE_UP):
            while told["count"] < count:
                await asyncio.sleep(0.2)
                async with self.session.get(self.url) as response:
                    more = await response.json()
                if more["count"]:
                    told["count"] += more["count"]
                    told["latencies"] += more["latencies"]
                    told["first"], told["last"] = min(told["first"], more["first"]), max(told["last"], more["last"])
        return told

    async def per_second(self, count: int, *, of_each: int = 1) -> float:
        """The rate at which so many deliveries come, `of_each` event as many, from the first to the last."""
        await self.publish(count // of_each)
        came = await self.came(count)
        return count / float(came["last"] - came["first"])

    async def latencies(self, seconds: float) -> list[float]:
        """Seconds from an event's time, taken just before it is sent to Kafka, to its arrival; of a steady stream."""
        began, count = time.monotonic(), int(PER_SECOND * seconds)
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            await self.upstream.send(an_order(uuid4()))
        came = await self.came(count)
        return [float(each) for each in came["latencies"]]

    async def with_more(self, count: int, url: str, waiting: int) -> list[UUID]:
        """Make `count` subscriptions to another address, paused, with so many deliveries waiting for each."""
        made = [row["id"] for row in await self.database.fetch(_MORE, self.id, url, count)]
        await self.pause(made, paused=True)
        await self.database.execute(_WAITING, made, waiting)
        # What autovacuum would do in its own time, and in the middle of a measurement.
        await self.database.execute("VACUUM ANALYZE deliveries_open")
        return made

    async def pause(self, subscriptions: list[UUID], *, paused: bool) -> None:
        """Let what waits for these wait, or go."""
        await self.database.execute(_PAUSE, subscriptions, paused)


@asynccontextmanager
async def subscriber(system: RunningSystem, upstream: Upstream, kafka: Kafka) -> AsyncIterator[Subscriber]:
    """A subscription to orders for the length of the block, warmed up."""
    async with sink(system) as url, aiohttp.ClientSession() as session:
        database = await asyncpg.connect(system.databases[DISPATCHER])
        answer = await upstream.call(
            DISPATCHER, "POST", "/webhooks", {"title": "bench", "url": url, "type": ["PORTFOLIO_ORDER"]}
        )
        must(f"the subscription is made, not {answer.status}", answer.status == 201)  # noqa: PLR2004
        made = answer.json
        told = Subscriber(system, upstream, kafka, session, database, url, UUID(made["id"]), made["secret"])
        try:
            await told.publish(_WARM_UP)
            await told.came(_WARM_UP)
            yield told
        finally:
            await upstream.call(DISPATCHER, "DELETE", f"/webhooks/{told.id}")
            await database.close()


@asynccontextmanager
async def sink(system: RunningSystem) -> AsyncIterator[str]:
    """Something that takes whatever is posted there, for the length of the block."""
    [port] = free_ports(1)
    command = Command(
        name="sink",
        argv=[sys.executable, "-m", "deploy.local.bench.sink", str(port)],
        log=system.stack.directory / "sink.log",
        env=dict(os.environ),
        cwd=REPOSITORY,
        rank=SERVICE_RANK,
        grace=2.0,
    )

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, port)) == 0

    process = LeashedProcess(system.stack.leash, command, lambda it: wait_until(it, listens, seconds=10))
    try:
        await asyncio.to_thread(process.wait_ready)
        yield f"http://{LOOPBACK}:{port}/hook"
    finally:
        await asyncio.to_thread(process.stop)


def database_processes(system: RunningSystem) -> list[psutil.Process]:
    """PostgreSQL's processes, where it was started here."""
    return [
        child
        for name, node in system.stack.nodes.items()
        if name.startswith("postgres")
        for parent in [psutil.Process(node.pid)]
        for child in [parent, *parent.children(recursive=True)]
    ]


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """What they have used so far."""
    return sum(_times(processes))


def _times(processes: list[psutil.Process]) -> Iterator[float]:
    for process in processes:
        try:
            yield sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
