"""A process that relays, with the kit's own code, on the database and topics that it is told; it may write as well.

Run as `python -m deploy.local.bench.relaying DSN BOOTSTRAP PREFIX [ORDERS [PER_SECOND]]`: with a number it also
writes so many.
"""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from uuid import uuid4

import uvloop

from deploy.local.bench.backlog import SOURCE
from deploy.local.bench.orders import an_order
from shared.contracts import new_id
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit import quick_start
from shared.kit.cause import Cause
from shared.kit.kafka import Kafka
from shared.kit.logs import configure_logs
from shared.kit.outbox import Outbox
from shared.kit.relay import Relay
from shared.kit.settings import async_url
from shared.kit.unit_of_work import Database

PER_SECOND = 50
#: until the relay has taken its shards
SETTLE = 3.0


def database_of(dsn: str) -> Database:
    """The database as the relay's service would open it."""
    return Database(async_url(dsn), Outbox(SOURCE, DEFAULT_PARTITIONS), application="bench")


async def write(database: Database, orders: int, per_second: int = PER_SECOND) -> None:
    """Write that many orders' events, so many a second, each in a transaction of its own."""
    began = time.monotonic()
    writers = math.ceil(per_second / PER_SECOND)

    async def every_so_many(first: int) -> None:
        for number in range(first, orders, writers):
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            async with database.unit_of_work(Cause(new_id(), "bench")) as work:
                work.publish(an_order(uuid4()))

    await asyncio.gather(*map(every_so_many, range(writers)))


async def _until_told(relaying: Coroutine[object, object, None]) -> None:
    """Give the shards back on SIGTERM: the next process would wait for them until the leases have run out."""
    task = asyncio.ensure_future(relaying)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


async def _relay(dsn: str, bootstrap: str, prefix: str, orders: str = "0", per_second: str = str(PER_SECOND)) -> None:
    database = database_of(dsn)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(database, Kafka(bootstrap, prefix, client_id="bench"), "bench").run(lambda: None))
        # As a service does.
        quick_start.keep_what_is_there()
        await asyncio.sleep(SETTLE)
        await write(database, int(orders), int(per_second))


if __name__ == "__main__":
    configure_logs("bench-relay", "WARNING")
    with suppress(asyncio.CancelledError):
        uvloop.run(_until_told(_relay(*sys.argv[1:])))
