"""What a consumer of committed messages sees of a relay's work: how far it is, and how long single events take."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psutil
from aiokafka import AIOKafkaConsumer

from deploy.local.bench.backlog import Backlog
from deploy.local.bench.programs import cpu_seconds
from shared.contracts import OrderPlaced

_GIVE_UP = 600.0
_LOOK_EVERY = 0.02


async def reached(outbox: Backlog, wanted: float, processes: Sequence[psutil.Process]) -> tuple[int, float, float]:
    """How many records are readable once they are at least `wanted`, when that was, and these processes' time."""
    async with asyncio.timeout(_GIVE_UP):
        while (readable := await outbox.readable()) < wanted:  # noqa: ASYNC110 -- the topic tells nobody
            await asyncio.sleep(_LOOK_EVERY)
    return readable, time.monotonic(), cpu_seconds(list(processes))


@asynccontextmanager
async def reader(outbox: Backlog) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the end of the topic: what is written from now on, it sees."""
    consumer = AIOKafkaConsumer(bootstrap_servers=outbox.kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign(outbox.partitions)
        await consumer.seek_to_end(*outbox.partitions)
        yield consumer
    finally:
        await consumer.stop()


async def latencies(consumer: AIOKafkaConsumer, orders: int) -> list[float]:
    """Seconds from the time that an order names as its own, taken before its transaction, until it could be read."""
    seconds = list[float]()
    async with asyncio.timeout(_GIVE_UP):
        while len(seconds) < orders:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                now = time.time()
                placed = [OrderPlaced.model_validate_json(record.value).created_at for record in records]
                seconds += [now - at.timestamp() for at in placed]
    return seconds
