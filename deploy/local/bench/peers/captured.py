"""An outbox in Debezium's shape, beside ours in the same database, with the same rows; its publication and its slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer

from deploy.local.bench.backlog import ACCOUNTS, PAYLOAD, Backlog
from deploy.local.bench.peers.debezium import PUBLICATION, SLOT, TABLE
from deploy.local.errors import StackUnavailableError
from deploy.local.stack import Stack
from shared.contracts import ORDERS_EVENTS
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.topics import ensure_topics

_CREATE = f"""
CREATE TABLE {TABLE} (
    id uuid PRIMARY KEY,
    aggregatetype varchar(255) NOT NULL,
    aggregateid varchar(255) NOT NULL,
    type varchar(255) NOT NULL,
    source text NOT NULL,
    client_id text NOT NULL,
    correlation_id text NOT NULL,
    time text NOT NULL,
    payload bytea NOT NULL
);
CREATE PUBLICATION {PUBLICATION} FOR TABLE {TABLE} WITH (publish = 'insert')
"""

#: one event, as the program that writes them one by one does it
INSERT = f"""
INSERT INTO {TABLE} (id, aggregatetype, aggregateid, type, source, client_id, correlation_id, time, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""  # noqa: S608 -- the table's name is a constant

#: what FILL of the backlog writes, in this shape
_FILL = f"""
INSERT INTO {TABLE} (id, aggregatetype, aggregateid, type, source, client_id, correlation_id, time, payload)
SELECT gen_random_uuid(), $1, ($2::text[])[number % cardinality($2::text[]) + 1], 'OrderPlaced', '/bench', $4, 'bench',
       $5, $3::bytea
FROM generate_series(1, $6::int) AS number
"""  # noqa: S608 -- the table's name is a constant

_READ_BY_SOMEBODY = "SELECT active FROM pg_replication_slots WHERE slot_name = $1"

_GIVE_UP = 60.0
_LOOK_EVERY = 0.05


class CapturedTable(Backlog):
    """Debezium's table, and the topic that its rows go to."""

    async def fill(self, rows: int, at_once: int = 100) -> None:
        """Let `rows` more events wait, written in transactions of at most `at_once`."""
        keys = [str(uuid4()) for _ in range(ACCOUNTS)]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for first in range(0, rows, at_once):
            count = min(at_once, rows - first)
            await self.pool.execute(_FILL, ORDERS_EVENTS.name, keys, PAYLOAD, str(uuid4()), now, count)
        await self.pool.execute(f"ANALYZE {TABLE}")

    async def clear(self) -> None:
        """Leave nothing in the table, whose rows nobody deletes."""
        await self.pool.execute(f"TRUNCATE {TABLE}")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Have PostgreSQL keep what is written from now on for Debezium, until the block ends."""
        await self._drop_slot()
        await self.pool.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", SLOT)
        try:
            yield
        finally:
            await self._drop_slot()

    async def _drop_slot(self) -> None:
        """Drop it once nobody reads it any more: what it keeps would otherwise stay for ever."""
        async with asyncio.timeout(_GIVE_UP):
            while await self.pool.fetchval(_READ_BY_SOMEBODY, SLOT):  # noqa: ASYNC110 -- the slot tells nobody
                await asyncio.sleep(_LOOK_EVERY)
        await self.pool.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", SLOT
        )


@asynccontextmanager
async def captured(ours: Backlog) -> AsyncIterator[CapturedTable]:
    """The table in the database of our outbox, and a topic beside ours, made as ours is."""
    kafka = replace(ours.kafka, prefix=f"{ours.kafka.prefix}debezium.")
    await ours.pool.execute(_CREATE)
    await ensure_topics(kafka, [ORDERS_EVENTS], partitions=DEFAULT_PARTITIONS, replication=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        yield CapturedTable(kafka, ours.dsn, ours.pool, consumer)
    finally:
        await consumer.stop()


def let_decode(stack: Stack) -> None:
    """Set `wal_level = logical`, which takes a restart; raises StackUnavailableError where it is not ours to set."""
    if asyncio.run(_wal_level(stack)) == "logical":
        return
    server = stack.nodes.get("postgres")
    if server is None:
        raise StackUnavailableError("Debezium reads the write-ahead log: set wal_level = logical on that PostgreSQL.")
    asyncio.run(_set_wal_level(stack))
    server.restart()


async def _wal_level(stack: Stack) -> str:
    connection = await asyncpg.connect(stack.postgres)
    try:
        return str(await connection.fetchval("SHOW wal_level"))
    finally:
        await connection.close()


async def _set_wal_level(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.postgres)
    try:
        await connection.execute("ALTER SYSTEM SET wal_level = logical")
    finally:
        await connection.close()
