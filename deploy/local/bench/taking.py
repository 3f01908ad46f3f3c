"""A process that consumes with the kit's own code: inbox, and one statement of effect per batch.

Run as `python -m deploy.local.bench.taking DSN BOOTSTRAP PREFIX`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

import uvloop
from sqlalchemy import text

from deploy.local.bench.backlog import GROUP, SOURCE
from shared.contracts import ORDERS_EVENTS, OrderPlaced
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit import quick_start
from shared.kit.bus import Bus
from shared.kit.consuming import Consumer
from shared.kit.kafka import Kafka
from shared.kit.liveness import Liveness
from shared.kit.logs import configure_logs
from shared.kit.outbox import Outbox
from shared.kit.received import Received
from shared.kit.settings import async_url
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import Database, UnitOfWork

TABLE = "CREATE TABLE IF NOT EXISTS bench_accounts (id uuid PRIMARY KEY, orders int NOT NULL) WITH (fillfactor = 50)"

#: counts the orders of each account
EFFECT = """
INSERT INTO bench_accounts AS known (id, orders) SELECT id, n
FROM unnest(CAST({ids} AS uuid[]), CAST({counts} AS int[])) AS taken(id, n) ORDER BY id
ON CONFLICT (id) DO UPDATE SET orders = known.orders + excluded.orders
"""

_COUNT = text(EFFECT.format(ids=":ids", counts=":counts"))


def subscriber() -> Subscriber:
    """One group that counts orders."""
    events = Subscriber(GROUP, [ORDERS_EVENTS])

    @events.on(OrderPlaced)
    async def on_order_placed(work: UnitOfWork, messages: Sequence[Received[OrderPlaced]]) -> None:
        taken = Counter(message.body.account_id for message in messages)
        await work.connection.execute(_COUNT, {"ids": list(taken), "counts": list(taken.values())})

    return events


async def _take(dsn: str, bootstrap: str, prefix: str) -> None:
    kafka = Kafka(bootstrap, prefix, client_id="bench")
    database = Database(async_url(dsn), Outbox(SOURCE, DEFAULT_PARTITIONS), application="bench-consumer")
    bus = Bus(kafka, Liveness())
    bus.attach(Consumer(subscriber(), database, kafka))
    await bus.start()
    # As a service does.
    quick_start.keep_what_is_there()
    await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logs("bench-consumer", "WARNING")
    uvloop.run(_take(*sys.argv[1:4]))
