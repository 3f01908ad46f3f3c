"""From the sending of DELETE to the commit that cancels the last order, as another connection sees it."""

import asyncio
import time
from statistics import median
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.bench.accounts import Bench
from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.watching import Watch, watching
from deploy.local.demo.telling import must
from shared.contracts import ORDERS_EVENTS, partition_of
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.kafka import Kafka

DELETIONS = 1000
PER_SECOND = 20
ORDERS_EACH = 50
ORDERS_OF_ONE = 10_000
#: before it is measured: until Kafka's JVM has compiled what it runs, it takes a third of a processor for that
_WARM_UP = 10 * PER_SECOND

_LOOK_EVERY = 0.003
_GIVE_UP = 30.0

#: What the database needs for cancelling an account's orders and writing their events, with nothing around it.
_BARE = """
WITH cancelled AS (
    UPDATE orders SET status = 'CANCELLED', cancellation_reason = 'CONFIGURATION_DELETED', cancelled_at = now(),
                      updated_at = now()
    WHERE account_id = $1 AND status = 'NEW' RETURNING *)
INSERT INTO outbox (topic, key, shard, headers, payload)
SELECT 'bare', account_id::text, 0, '{"ce_id": "bare"}'::jsonb, convert_to(row_to_json(cancelled)::text, 'UTF8')
FROM cancelled
"""


async def deletions_at_a_rate(bench: Bench, runs: int, deletions: int) -> list[Figure]:
    """`deletions` at 20 a second, each of a configuration with 50 NEW orders."""
    p50s, p99s, answers = [], [], []
    await deletions_of(bench, min(deletions, _WARM_UP), PER_SECOND)
    for _ in range(runs):
        measured = await deletions_of(bench, deletions, PER_SECOND)
        cancelled = [latency for latency, _ in measured]
        p50s.append(percentile(cancelled, 50) * 1000)
        p99s.append(percentile(cancelled, 99) * 1000)
        answers.append(percentile([answered for _, answered in measured], 50) * 1000)
    name = f"DELETE → last of {ORDERS_EACH} orders cancelled, {deletions} at {PER_SECOND}/s"
    return [
        Figure(f"{name}: p50", "ms", p50s, limit=median(answers),
               limit_is="p50 of DELETE's own answer, same run"),
        Figure(f"{name}: p99", "ms", p99s, limit=100, limit_is="promised"),
    ]  # fmt: skip


async def deletions_of(
    bench: Bench, count: int, per_second: float, give_up: float = _GIVE_UP
) -> list[tuple[float, float]]:
    """Of so many accounts with 50 NEW orders each, the seconds from sending DELETE to the cancellation and the answer.

    Raises TimeoutError where a cancellation takes longer than `give_up` seconds.
    """
    accounts = await bench.configured_accounts(count)
    await bench.place_orders(accounts, ORDERS_EACH)
    began = time.monotonic()
    async with watching(bench.orders) as watch:
        each = (_deletion(bench, watch, account, began + n / per_second, give_up) for n, account in enumerate(accounts))
        return await asyncio.gather(*each)


async def _deletion(bench: Bench, watch: Watch, account: UUID, at: float, give_up: float) -> tuple[float, float]:
    """Seconds from sending DELETE to the cancellation and to the answer."""
    await asyncio.sleep(max(0.0, at - time.monotonic()))
    sent = time.monotonic()
    answered = asyncio.create_task(_delete(bench, account))
    async with asyncio.timeout(give_up):
        return await watch.cancelled(account) - sent, await answered - sent


async def _delete(bench: Bench, account: UUID) -> float:
    answer = await bench.upstream.call("config_service", "DELETE", f"/portfolios/configurations/{account}")
    must(f"DELETE is answered 204, not {answer.status}", answer.status == 204)  # noqa: PLR2004
    return time.monotonic()


async def one_large_deletion(bench: Bench, kafka: Kafka, runs: int) -> list[Figure]:
    """One deletion of a configuration with ten thousand NEW orders, beside what was promised."""
    return await large_deletion(bench, kafka, runs, ORDERS_OF_ONE, promised=(600, 1200))


async def large_deletion(
    bench: Bench, kafka: Kafka, runs: int, orders: int, promised: tuple[float, float] | None = None
) -> list[Figure]:
    """One deletion of a configuration with so many NEW orders, until they are cancelled and until it is told.

    `promised`: milliseconds of both, where something is.
    """
    cancelled, published, bare = [], [], []
    for account in await bench.configured_accounts(runs):
        await bench.place_orders([account], orders)
        bare.append(await _bare(bench, account) * 1000)
        events = asyncio.create_task(_events_of(kafka, account, orders))
        await asyncio.sleep(1)  # the reader stands at the topic's end by then
        sent = time.monotonic()
        cancelled.append(await deleted(bench, account, orders) * 1000)
        published.append((await asyncio.wait_for(events, _patience(orders)) - sent) * 1000)
    until_cancelled, until_published = promised or (None, None)
    told = "promised" if promised else ""
    return [
        Figure(f"DELETE → {orders:,} orders of one account cancelled", "ms", cancelled,
               limit=until_cancelled, limit_is=told),
        Figure("… and their events readable in the topic", "ms", published, limit=until_published, limit_is=told),
        Figure("the bare statement, rolled back", "ms", bare),
    ]  # fmt: skip


async def deleted(bench: Bench, account: UUID, orders: int) -> float:
    """Seconds from sending DELETE until none of so many orders is NEW."""
    sent = time.monotonic()
    await _delete(bench, account)
    async with asyncio.timeout(_patience(orders)):
        while await bench.new_orders(account):  # noqa: ASYNC110 -- the database tells nobody
            await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - sent


def _patience(orders: int) -> float:
    return _GIVE_UP * max(1.0, orders / ORDERS_OF_ONE)


async def _bare(bench: Bench, account: UUID) -> float:
    async with bench.orders.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            began = time.monotonic()
            await connection.execute(_BARE, account)
            return time.monotonic() - began
        finally:
            await transaction.rollback()
            await connection.execute("VACUUM orders")


async def _events_of(kafka: Kafka, account: UUID, orders: int) -> float:
    """When the last of so many events could be read."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        where = TopicPartition(kafka.physical(ORDERS_EVENTS.name), partition_of(str(account), DEFAULT_PARTITIONS))
        consumer.assign([where])
        await consumer.seek_to_end(where)
        await consumer.position(where)
        count = 0
        while count < orders:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                count += sum(record.key == str(account).encode() for record in records)
        return time.monotonic()
    finally:
        await consumer.stop()
