"""From an event in Kafka to a subscriber that answers at once, beside an HTTP client alone on the same machine."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import psutil
from standardwebhooks import Webhook

from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.subscribers import PER_SECOND, Subscriber, cpu_seconds, database_processes, subscriber
from deploy.local.demo.upstream import Upstream
from deploy.local.services import RunningSystem
from shared.kit.kafka import Kafka

DELIVERIES = 10_000
CONNECTIONS = 100
SECONDS = 20
#: as long as the body of an order's event with one event
_BODY = b'{"payload":[%s]}' % (b"x" * 600)


@dataclass(frozen=True)
class Drained:
    """What sending a backlog came to; processor time in seconds for a thousand deliveries."""

    per_second: float
    alone_per_second: float
    alone_cpu: float
    cpu: float
    database_cpu: float


async def deliveries(system: RunningSystem, upstream: Upstream, kafka: Kafka, runs: int) -> list[Figure]:
    """The rate of one dispatcher and of an HTTP client alone, in turn; then the time that single events take."""
    async with subscriber(system, upstream, kafka) as receiving:
        drained = [await _drained(receiving) for _ in range(runs)]
        latencies = [await receiving.latencies(SECONDS) for _ in range(runs)]
    return _figures(drained, latencies)


def _figures(drained: list[Drained], latencies: list[list[float]]) -> list[Figure]:
    alone = [each.alone_per_second for each in drained]
    shares = [each.per_second / each.alone_per_second * 100 for each in drained]
    p50s = [percentile(each, 50) * 1000 for each in latencies]
    p99s = [percentile(each, 99) * 1000 for each in latencies]
    return [
        Figure("deliveries, Kafka to subscriber, one dispatcher", "/s", [each.per_second for each in drained]),
        Figure("an HTTP client alone (aiohttp), same bodies, same subscriber", "/s", alone),
        Figure("… the first of the second (at least)", "%", shares, limit=28, limit_is="promised"),
        Figure("CPU of the dispatcher per 1,000", "s", [each.cpu for each in drained], limit=0.2,
               limit_is="promised"),
        Figure("CPU of PostgreSQL per 1,000", "s", [each.database_cpu for each in drained], limit=0.15,
               limit_is="promised"),
        # Processor time grows with whatever else runs here: this says by how much.
        Figure("CPU of the HTTP client alone per 1,000", "s", [each.alone_cpu for each in drained],
               limit=0.067, limit_is="on an idle machine"),
        Figure(f"an event at {PER_SECOND}/s, Kafka to subscriber: p50", "ms", p50s, limit=8, limit_is="promised"),
        Figure(f"an event at {PER_SECOND}/s, Kafka to subscriber: p99", "ms", p99s, limit=25, limit_is="promised"),
    ]  # fmt: skip


async def _drained(receiving: Subscriber) -> Drained:
    thousands = DELIVERIES / 1000
    began = cpu_seconds([psutil.Process()])
    alone = await _alone(receiving)
    alone_cpu = cpu_seconds([psutil.Process()]) - began
    dispatcher, database = [receiving.dispatcher], receiving.system
    cpu, database_cpu = cpu_seconds(dispatcher), cpu_seconds(database_processes(database))
    per_second = await receiving.per_second(DELIVERIES)
    return Drained(
        per_second=per_second,
        alone_per_second=alone,
        alone_cpu=alone_cpu / thousands,
        cpu=(cpu_seconds(dispatcher) - cpu) / thousands,
        database_cpu=(cpu_seconds(database_processes(database)) - database_cpu) / thousands,
    )


async def _alone(receiving: Subscriber) -> float:
    """The rate at which the client posts signed bodies with nothing around it."""
    webhook, left = Webhook(receiving.secret), iter(range(DELIVERIES))

    async def post() -> None:
        for _ in left:
            now, message_id = datetime.now(UTC), f"msg_{uuid4().hex}"
            headers = {
                "webhook-id": message_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": webhook.sign(message_id, now, _BODY.decode()),
            }
            async with receiving.session.post(receiving.url, data=_BODY, headers=headers) as response:
                await response.read()

    began = time.monotonic()
    await asyncio.gather(*(post() for _ in range(CONNECTIONS)))
    rate = DELIVERIES / (time.monotonic() - began)
    await receiving.came(DELIVERIES)
    return rate
