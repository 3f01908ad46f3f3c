"""An outbox and a topic of the benchmark's own, filled by SQL: as many rows as asked for, as a service writes them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.stack import Stack
from shared.contracts import ORDERS_EVENTS, parked_topic, partition_of, redrive_topic
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit import schema
from shared.kit.inbox import keep_partitions
from shared.kit.kafka import Kafka
from shared.kit.outbox import SHARDS, Outbox
from shared.kit.settings import async_url
from shared.kit.topics import ensure_topics
from shared.kit.unit_of_work import Database

#: the group of the benchmark's own consumer, whose topics are made as well
GROUP = "bench.effects"
SOURCE = "/bench"
ACCOUNTS = 1000
PAYLOAD_BYTES = 400
PAYLOAD = orjson.dumps({"filler": "x" * (PAYLOAD_BYTES - len('{"filler":""}'))})

#: Every row has an account of its turn, headers as an event's and a payload of one length: a JSON text, as bytes. Where
#: traces are wanted each row is of a trace of its own, and one in so many of these is recorded.
FILL = """
INSERT INTO outbox (topic, key, shard, headers, payload)
SELECT $1, account.key, account.shard,
       jsonb_build_object(
           'ce_specversion', '1.0', 'content-type', 'application/json', 'ce_id', gen_random_uuid()::text,
           'ce_type', 'OrderPlaced', 'ce_source', '/bench', 'ce_time', $6::text, 'ce_clientid', $5::text,
           'ce_correlationid', 'bench')
       || CASE WHEN $8::int > 0 THEN jsonb_build_object(
           'traceparent', '00-' || md5(number::text) || '-' || left(md5(random()::text), 16)
                          || CASE WHEN number % $8::int = 0 THEN '-01' ELSE '-00' END) ELSE '{}' END,
       $4::bytea
FROM generate_series(1, $7::int) AS number
     JOIN unnest($2::text[], $3::smallint[]) WITH ORDINALITY AS account(key, shard, place)
     ON account.place = number % cardinality($2::text[]) + 1
ORDER BY number
"""

_ROWS_AT_ONCE = 250_000


@dataclass(frozen=True)
class Backlog:
    """A database with the kit's tables alone, and topics under a prefix of their own."""

    kafka: Kafka
    #: the database's address as asyncpg takes it
    dsn: str
    pool: asyncpg.Pool
    consumer: AIOKafkaConsumer

    @property
    def partitions(self) -> list[TopicPartition]:
        """Where the events go."""
        return [TopicPartition(self.kafka.physical(ORDERS_EVENTS.name), n) for n in range(DEFAULT_PARTITIONS)]

    async def fill(self, rows: int, at_once: int = _ROWS_AT_ONCE) -> None:
        """Let `rows` more events wait, written in transactions of at most `at_once`."""
        await self._fill(rows, at_once, recorded_one_in=0)

    async def fill_traced(self, rows: int, recorded_one_in: int) -> None:
        """As above, each of a trace of its own, of which one in so many is recorded; 0 is of none."""
        await self._fill(rows, _ROWS_AT_ONCE, recorded_one_in=recorded_one_in)

    async def _fill(self, rows: int, at_once: int, *, recorded_one_in: int) -> None:
        keys = [str(uuid4()) for _ in range(ACCOUNTS)]
        shards = [partition_of(key, DEFAULT_PARTITIONS) % SHARDS for key in keys]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for first in range(0, rows, at_once):
            count = min(at_once, rows - first)
            client, topic = str(uuid4()), ORDERS_EVENTS.name
            await self.pool.execute(FILL, topic, keys, shards, PAYLOAD, client, now, count, recorded_one_in)
        await self.pool.execute("ANALYZE outbox")

    async def clear(self) -> None:
        """Let nothing wait, and leave no dead rows behind."""
        await self.pool.execute("TRUNCATE outbox")

    async def waiting(self) -> bool:
        """Whether there is anything to publish."""
        return bool(await self.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)"))

    async def readable(self) -> int:
        """How many records the topic shows to a reader of committed messages, transaction markers among them."""
        return sum((await self.consumer.end_offsets(self.partitions)).values())


@asynccontextmanager
async def backlog(stack: Stack, prefix: str) -> AsyncIterator[Backlog]:
    """A backlog under `prefix`, empty to begin with."""
    dsn = stack.create_database(prefix + uuid4().hex[:8])
    kafka = Kafka(stack.kafka, prefix=f"{prefix}.", client_id="bench")
    await schema.migrate(async_url(dsn))
    database = Database(async_url(dsn), Outbox(SOURCE, DEFAULT_PARTITIONS))
    await keep_partitions(database)
    await database.close()
    topics = [ORDERS_EVENTS, redrive_topic(GROUP), parked_topic(GROUP)]
    await ensure_topics(kafka, topics, partitions=DEFAULT_PARTITIONS, replication=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=4, command_timeout=600) as pool:
            yield Backlog(kafka, dsn, pool, consumer)
    finally:
        await consumer.stop()
