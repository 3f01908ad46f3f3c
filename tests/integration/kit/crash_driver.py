"""A small service that writes, relays and consumes in one process, so that it can be cut off at any boundary.

It writes so many effects, each with an event, takes the events up again, and ends when all of it is done.
"""

import asyncio
import json
import multiprocessing
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from uuid import UUID, uuid4

from sqlalchemy import text

from shared.contracts import ORDERS_EVENTS, OrderPlaced, partition_of
from shared.kit.bus import Bus
from shared.kit.cause import Cause
from shared.kit.consuming import Consumer
from shared.kit.kafka import Kafka
from shared.kit.liveness import Liveness
from shared.kit.outbox import Outbox
from shared.kit.received import Received
from shared.kit.relay import Relay
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import Database, UnitOfWork

GROUP = "crash.events"
PARTITIONS = 3
CLIENT = UUID("11111111-1111-4111-8111-111111111111")
ACCOUNTS = [UUID(int=number + 1) for number in range(4)]

TABLES = """
CREATE TABLE accounts (id uuid PRIMARY KEY, orders int NOT NULL DEFAULT 0);
CREATE TABLE effects (id uuid PRIMARY KEY, account_id uuid NOT NULL, number int NOT NULL);
CREATE TABLE taken (id uuid NOT NULL, times int NOT NULL DEFAULT 1)
"""


def order_placed(order_id: UUID, account_id: UUID) -> OrderPlaced:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    body = {
        "id": str(order_id), "account_id": str(account_id), "user_id": str(uuid4()), "allocation_id": str(uuid4()),
        "configuration_version": 1, "kind": "PORTFOLIO", "side": "BUY", "cash_amount": "1.00", "currency": "EUR",
        "client_reference": None, "status": "NEW", "cancellation_reason": None, "created_at": now, "updated_at": now,
        "processing_at": None, "filled_at": None, "settled_at": None, "cancelled_at": None,
    }  # fmt: skip
    return OrderPlaced.model_validate_json(json.dumps(body))


def subscriber() -> Subscriber:
    events = Subscriber(GROUP, [ORDERS_EVENTS])

    @events.on(OrderPlaced)
    async def on_order_placed(work: UnitOfWork, messages: Sequence[Received[OrderPlaced]]) -> None:
        # No ON CONFLICT: an event that is taken twice leaves two rows for the test to find.
        ids = [each.body.id for each in messages]
        await work.connection.execute(text("INSERT INTO taken (id) SELECT unnest(CAST(:ids AS uuid[]))"), {"ids": ids})

    return events


async def write(database: Database, count: int) -> None:
    for number in range(count):
        account = ACCOUNTS[number % len(ACCOUNTS)]
        order = uuid4()
        async with database.unit_of_work(Cause(CLIENT, f"request-{number}")) as work:
            locked = text("UPDATE accounts SET orders = orders + 1 WHERE id = :id RETURNING orders")
            nth = (await work.connection.execute(locked, {"id": account})).scalar_one()
            insert = text("INSERT INTO effects VALUES (:id, :account, :nth)")
            await work.connection.execute(insert, {"id": order, "account": account, "nth": nth})
            work.publish(order_placed(order, account))


async def unfinished(database: Database) -> int:
    async with database.reading() as connection:
        query = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM effects) - (SELECT count(*) FROM taken)"
        return int((await connection.execute(text(query))).scalar_one())


async def _work(url: str, bootstrap: str, prefix: str, count: int) -> None:
    kafka = Kafka(bootstrap, prefix, client_id="crash")
    database = Database(url, Outbox("/crash", PARTITIONS))
    liveness = Liveness()
    bus = Bus(kafka, liveness, session_seconds=2)
    bus.attach(Consumer(subscriber(), database, kafka))
    relay = asyncio.create_task(Relay(database, kafka, "crash", lease_seconds=2).run(lambda: None))
    await bus.start()
    await write(database, count)
    while await unfinished(database) > 0:  # noqa: ASYNC110 -- the database tells nobody
        await asyncio.sleep(0.05)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await bus.stop()
    await database.close()


def partition(account: UUID) -> int:
    return partition_of(str(account), PARTITIONS)


def process_of(url: str, kafka: Kafka, count: int, kill_at: str) -> ForkServerProcess:
    """A process that does it, not started yet; it ends itself with SIGKILL at the boundary `kill_at`.

    Forked off one that has imported everything: there are dozens, and importing takes longer than what they do.
    """
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([__name__])
    return forking.Process(target=_run, args=(url, kafka.bootstrap, kafka.prefix, count, kill_at))


def _run(url: str, bootstrap: str, prefix: str, count: int, kill_at: str) -> None:
    os.environ["PORTFOLIO_BUS_KILL_AT"] = kill_at
    asyncio.run(_work(url, bootstrap, prefix, count))
