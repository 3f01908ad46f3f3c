"""From an event in Kafka to a subscriber that answers at once, beside the HTTP client alone on the same machine."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import psutil
from standardwebhooks import Webhook

from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.orders import an_order
from deploy.local.demo.telling import must
from deploy.local.demo.upstream import SOURCE, Upstream
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.services import REPOSITORY, RunningSystem
from shared.contracts import new_envelope, to_record
from shared.kit.kafka import Kafka

DELIVERIES = 10_000
CONNECTIONS = 100
PER_SECOND = 50
SECONDS = 20
_GIVE_UP = 180.0
#: as long as the body of an order's event with one event
_BODY = b'{"payload":[%s]}' % (b"x" * 600)
_DISPATCHER = "webhook_dispatcher"


@dataclass(frozen=True)
class Drained:
    """What sending a backlog came to."""

    per_second: float
    alone_per_second: float
    cpu: float
    database_cpu: float


async def deliveries(system: RunningSystem, upstream: Upstream, kafka: Kafka, runs: int) -> list[Figure]:
    """The rate of one dispatcher and of the HTTP client alone, in turn; then the time that single events take."""
    async with _sink(system) as url, aiohttp.ClientSession() as session:
        answer = await upstream.call(
            _DISPATCHER, "POST", "/webhooks", {"title": "bench", "url": url, "type": ["PORTFOLIO_ORDER"]}
        )
        must(f"the subscription is made, not {answer.status}", answer.status == 201)  # noqa: PLR2004
        secret = answer.json["secret"]
        await _publish(upstream, kafka, 100)
        await _came(session, url, 100)
        drained = [await _drained(system, upstream, kafka, session, url, secret) for _ in range(runs)]
        latencies = [await _latencies(upstream, session, url) for _ in range(runs)]
    return _figures(drained, latencies)


def _figures(drained: list[Drained], latencies: list[list[float]]) -> list[Figure]:
    alone = [each.alone_per_second for each in drained]
    shares = [each.per_second / each.alone_per_second * 100 for each in drained]
    p50s = [percentile(each, 50) * 1000 for each in latencies]
    p99s = [percentile(each, 99) * 1000 for each in latencies]
    return [
        Figure("deliveries, Kafka to subscriber, one dispatcher", "/s", [each.per_second for each in drained]),
        Figure("the HTTP client alone, same bodies, same subscriber", "/s", alone),
        Figure("… the first of the second (at least)", "%", shares, limit=28, limit_is="promised"),
        Figure("CPU of the dispatcher per 1,000", "s", [each.cpu for each in drained], limit=0.2,
               limit_is="promised"),
        Figure("CPU of PostgreSQL per 1,000", "s", [each.database_cpu for each in drained], limit=0.15,
               limit_is="promised"),
        Figure(f"an event at {PER_SECOND}/s, Kafka to subscriber: p50", "ms", p50s, limit=8, limit_is="promised"),
        Figure(f"an event at {PER_SECOND}/s, Kafka to subscriber: p99", "ms", p99s, limit=25, limit_is="promised"),
    ]  # fmt: skip


@asynccontextmanager
async def _sink(system: RunningSystem) -> AsyncIterator[str]:
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


async def _drained(
    system: RunningSystem, upstream: Upstream, kafka: Kafka, session: aiohttp.ClientSession, url: str, secret: str
) -> Drained:
    alone = await _alone(session, url, secret)
    dispatcher = psutil.Process(system.services[_DISPATCHER].pid)
    cpu, database = _cpu([dispatcher]), _cpu(_database(system))
    await _publish(upstream, kafka, DELIVERIES)
    came = await _came(session, url, DELIVERIES)
    thousands = DELIVERIES / 1000
    return Drained(
        per_second=DELIVERIES / (came["last"] - came["first"]),
        alone_per_second=alone,
        cpu=(_cpu([dispatcher]) - cpu) / thousands,
        database_cpu=(_cpu(_database(system)) - database) / thousands,
    )


async def _alone(session: aiohttp.ClientSession, url: str, secret: str) -> float:
    """The rate at which the client posts signed bodies with nothing around it."""
    webhook, left = Webhook(secret), iter(range(DELIVERIES))

    async def post() -> None:
        for _ in left:
            now, message_id = datetime.now(UTC), f"msg_{uuid4().hex}"
            headers = {
                "webhook-id": message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": webhook.sign(message_id, now, _BODY.decode()),
            }
            async with session.post(url, data=_BODY, headers=headers) as response:
                await response.read()

    began = time.monotonic()
    await asyncio.gather(*(post() for _ in range(CONNECTIONS)))
    rate = DELIVERIES / (time.monotonic() - began)
    await _came(session, url, DELIVERIES)
    return rate


async def _latencies(upstream: Upstream, session: aiohttp.ClientSession, url: str) -> list[float]:
    """Seconds from an event's time, taken just before it is sent to Kafka, to its arrival."""
    began = time.monotonic()
    for number in range(PER_SECOND * SECONDS):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        await upstream.send(an_order(uuid4()))
    came = await _came(session, url, PER_SECOND * SECONDS)
    return [float(each) for each in came["latencies"]]


async def _publish(upstream: Upstream, kafka: Kafka, count: int) -> None:
    producer = kafka.producer()
    await producer.start()
    try:
        for _ in range(count):
            order = an_order(uuid4())
            record = to_record(order, new_envelope(order, source=SOURCE, client_id=upstream.client_id))
            topic = kafka.physical(record.topic)
            await producer.send(topic, record.value, key=record.key, headers=record.headers)
    finally:
        await producer.stop()


async def _came(session: aiohttp.ClientSession, url: str, count: int) -> dict[str, Any]:
    """What the subscriber says once so many requests have come."""
    told: dict[str, Any] = {"count": 0, "latencies": [], "first": float("inf"), "last": 0.0}
    async with asyncio.timeout(_GIVE_UP):
        while told["count"] < count:
            await asyncio.sleep(0.2)
            async with session.get(url) as response:
                more = await response.json()
            if more["count"]:
                told["count"] += more["count"]
                told["latencies"] += more["latencies"]
                told["first"], told["last"] = min(told["first"], more["first"]), max(told["last"], more["last"])
    return told


def _database(system: RunningSystem) -> list[psutil.Process]:
    """PostgreSQL's processes, where it was started here."""
    return [
        child
        for name, node in system.stack.nodes.items()
        if name.startswith("postgres")
        for parent in [psutil.Process(node.pid)]
        for child in [parent, *parent.children(recursive=True)]
    ]


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(_times(processes))


def _times(processes: list[psutil.Process]) -> Iterator[float]:
    for process in processes:
        try:
            yield sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
