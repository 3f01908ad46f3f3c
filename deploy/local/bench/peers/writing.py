"""A process that writes single events, each in a transaction of its own, at a rate, into our outbox or Debezium's.

Run as `python -m deploy.local.bench.peers.writing DSN ours|debezium PER_SECOND EVENTS`; prints how many a second it
came to. It tells no relay: whoever publishes has to find out.
"""

from __future__ import annotations

import asyncio
import sys
import time
from uuid import UUID, uuid4

import asyncpg
import orjson
import uvloop

from deploy.local.bench.backlog import SOURCE
from deploy.local.bench.orders import an_order
from deploy.local.bench.peers.captured import INSERT
from shared.contracts import ORDERS_EVENTS, new_envelope, partition_of, to_headers
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.outbox import SHARDS

#: as many transactions at once as a busy service has
_WRITERS = 8

_INSERT_OURS = "INSERT INTO outbox (topic, key, shard, headers, payload) VALUES ($1, $2, $3, $4::text::jsonb, $5)"


async def _write_ours(connection: asyncpg.Connection, account: UUID) -> None:
    order = an_order(account)
    envelope = new_envelope(order, source=SOURCE, client_id=account, correlation_id="bench")
    headers = orjson.dumps({name: value.decode() for name, value in to_headers(envelope)}).decode()
    shard = partition_of(str(account), DEFAULT_PARTITIONS) % SHARDS
    body = order.model_dump_json().encode()
    await connection.execute(_INSERT_OURS, ORDERS_EVENTS.name, str(account), shard, headers, body)


async def _write_debezium(connection: asyncpg.Connection, account: UUID) -> None:
    order = an_order(account)
    envelope = new_envelope(order, source=SOURCE, client_id=account, correlation_id="bench")
    named = UUID(envelope.id), ORDERS_EVENTS.name, str(account), envelope.type, envelope.source, str(account), "bench"
    body = order.model_dump_json().encode()
    await connection.execute(INSERT, *named, envelope.time.isoformat(), body)


async def _write(dsn: str, whose: str, per_second: str, events: str) -> float:
    one = {"ours": _write_ours, "debezium": _write_debezium}[whose]
    count, apart = int(events), 1 / float(per_second)
    async with asyncpg.create_pool(dsn, min_size=_WRITERS, max_size=_WRITERS) as pool:
        began = time.monotonic()

        async def every_eighth(first: int) -> None:
            async with pool.acquire() as connection:
                for number in range(first, count, _WRITERS):
                    await asyncio.sleep(max(0.0, began + number * apart - time.monotonic()))
                    await one(connection, uuid4())

        await asyncio.gather(*map(every_eighth, range(_WRITERS)))
        return count / (time.monotonic() - began)


if __name__ == "__main__":
    print(uvloop.run(_write(*sys.argv[1:])))
