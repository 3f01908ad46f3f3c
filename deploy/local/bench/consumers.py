"""A consumer with its inbox and one statement of effect per batch, beside these statements and their commit alone."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from uuid import UUID, uuid4

from deploy.local.bench.backlog import ACCOUNTS, SOURCE, Backlog, backlog
from deploy.local.bench.figures import Figure
from deploy.local.bench.orders import an_order
from deploy.local.bench.programs import cpu_seconds, program
from deploy.local.bench.taking import EFFECT, TABLE
from deploy.local.stack import Stack
from shared.contracts import new_envelope, partition_of, to_record
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.bus import BATCH
from shared.kit.producer import Headers
from shared.kit.waiting import ROWS

MESSAGES = 100_000

_FROM, _UNTIL = 0.1, 0.9
_SECONDS = 60.0
_GIVE_UP = 300.0
_LOOK_EVERY = 0.02

_TAKEN = "SELECT coalesce(sum(orders), 0) FROM bench_accounts"
_INBOX = """
INSERT INTO inbox (consumer, client_id, source, id, time)
SELECT $1, client_id, source, id, time
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) AS incoming(client_id, source, id, time)
ORDER BY client_id, source, id, time ON CONFLICT DO NOTHING RETURNING client_id, source, id, time
"""
_COUNT = EFFECT.format(ids="$1", counts="$2")


@dataclass(frozen=True)
class Taken:
    """What taking a backlog came to."""

    per_second: float
    #: microseconds of the consumer's processor time per message
    cpu: float


async def consumers(stack: Stack, runs: int, messages: int) -> list[Figure]:
    """Messages a second of one process, from a backlog of `messages`."""
    async with backlog(stack, "bench_consumers") as topic:
        await topic.pool.execute(TABLE)
        alone, taken = [], []
        for _ in range(runs):
            alone.append(await _inserted(topic, messages))
            await _send(topic, messages)
            taken.append(await _taken(stack, topic, messages))
    rates = [each.per_second for each in taken]
    return [
        Figure("inbox and effect, inserted and committed only", "/s", alone),
        Figure(
            "consumer with inbox and effect, one process (at least)", "/s", rates, limit=20_000, limit_is="promised"
        ),
        Figure("… of inserting and committing only", "%", [rate / median(alone) * 100 for rate in rates]),
        Figure("… CPU per message", "µs", [each.cpu for each in taken]),
    ]


async def _inserted(topic: Backlog, messages: int) -> float:
    """The rate of the same two statements and a commit, in batches of the consumer's size, with nothing around them."""
    client, now, accounts = uuid4(), datetime.now(UTC), [uuid4() for _ in range(ACCOUNTS)]
    began = time.monotonic()
    async with topic.pool.acquire() as connection:
        for first in range(0, messages, BATCH):
            numbers = range(first, first + BATCH)
            counted = Counter(accounts[number % ACCOUNTS] for number in numbers)
            ids, sources = [str(UUID(int=number)) for number in numbers], [SOURCE] * BATCH
            async with connection.transaction():
                await connection.fetch(_INBOX, "alone", [client] * BATCH, sources, ids, [now] * BATCH)
                await connection.execute(_COUNT, list(counted), list(counted.values()))
    rate = messages / (time.monotonic() - began)
    await topic.pool.execute("TRUNCATE inbox, bench_accounts")
    return rate


async def _send(topic: Backlog, messages: int) -> None:
    accounts, client = [uuid4() for _ in range(ACCOUNTS)], uuid4()
    orders = [an_order(accounts[number % ACCOUNTS]) for number in range(messages)]
    records = [
        to_record(order, new_envelope(order, source=SOURCE, client_id=client, correlation_id="bench"))
        for order in orders
    ]
    producer = topic.kafka.transactional_producer("bench.upstream")
    await producer.start()
    for first in range(0, messages, ROWS):
        producer.begin()
        for order, record in zip(orders[first : first + ROWS], records[first : first + ROWS], strict=True):
            headers: Headers = {name: value.decode() for name, value in record.headers}
            partition = partition_of(order.key, DEFAULT_PARTITIONS)
            producer.send(topic.kafka.physical(record.topic), partition, order.key, record.value, headers)
        await producer.delivered(_SECONDS)
        await producer.commit(_SECONDS)
    await producer.close()


async def _taken(stack: Stack, topic: Backlog, messages: int) -> Taken:
    arguments = topic.dsn, topic.kafka.bootstrap, topic.kafka.prefix
    async with program(stack, "taking", *arguments) as process:
        first, began, cpu = await _reached(topic, messages * _FROM), time.monotonic(), cpu_seconds([process])
        last, ended, cpu_then = await _reached(topic, messages * _UNTIL), time.monotonic(), cpu_seconds([process])
        await _reached(topic, messages)
    await topic.pool.execute("TRUNCATE inbox, bench_accounts")
    return Taken((last - first) / (ended - began), (cpu_then - cpu) / (last - first) * 1_000_000)


async def _reached(topic: Backlog, wanted: float) -> int:
    async with asyncio.timeout(_GIVE_UP):
        while (taken := int(await topic.pool.fetchval(_TAKEN))) < wanted:  # noqa: ASYNC110 -- the database tells nobody
            await asyncio.sleep(_LOOK_EVERY)
    return taken
