"""What the kit measures, on the real Kafka and PostgreSQL: lag, fates, outbox, relay, barrier, pool; and its cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from shared.contracts import (
    CONFIGURATIONS_EVENTS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    CancelOrder,
    OrderPlaced,
    new_envelope,
    to_record,
)
from shared.kit.backlog import _WAITING, Backlog
from shared.kit.barrier import BarrierNotPassedError, ReadBarrier
from shared.kit.cause import Cause
from shared.kit.kafka import Kafka
from shared.kit.metrics import Measured, Metrics
from shared.kit.outbox import SHARDS
from shared.kit.received import Received
from shared.kit.refusals import Conflict
from shared.kit.relay import Relay
from shared.kit.subscriber import Subscriber
from shared.kit.topics import ensure_topics
from shared.kit.unit_of_work import Database, UnitOfWork
from tests.conftest import PARTITIONS, eventually
from tests.integration.order_service.statements import counted
from tests.scraped import Scraped

from .bench import CLIENT, consuming, make_topics, producing, send
from .crash_driver import order_placed

GROUP = "bench.measured"
LAG = "portfolio_bus_consumer_lag_records"
LAG_SECONDS = "portfolio_bus_consumer_lag_seconds"
MESSAGES = "portfolio_bus_consumer_messages_total"
OUTBOX = "portfolio_bus_outbox_rows"
OUTBOX_AGE = "portfolio_bus_outbox_oldest_seconds"
HOUR = 3600.0


class Taker:
    """Takes orders when its gate is open, and fails at those that are named in `faults`."""

    def __init__(self) -> None:
        self.subscriber = Subscriber(GROUP, [ORDERS_EVENTS], patience=3)
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.faults: dict[UUID, list[Exception]] = {}
        self.taken: set[UUID] = set()
        self.subscriber.on(OrderPlaced)(self.on_order_placed)

    async def on_order_placed(self, _: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        self.begun.set()
        await self.gate.wait()
        for each in messages:
            if self.faults.get(each.body.id):
                raise self.faults[each.body.id].pop()
        self.taken |= {each.body.id for each in messages}


@pytest.fixture
async def taker(kafka: Kafka) -> Taker:
    made = Taker()
    await make_topics(kafka, made.subscriber)
    return made


async def told(*measured: Measured) -> Scraped:
    metrics = Metrics()
    metrics.add(*measured)
    return Scraped((await metrics.text()).decode())


async def send_aged(kafka: Kafka, seconds: float, *orders: OrderPlaced) -> None:
    """Send `orders` stamped as if they were that old."""
    stamp = int(1000 * (time.time() - seconds))
    async with producing(kafka) as producer:
        for order in orders:
            record = to_record(order, new_envelope(order, source="/upstream", client_id=CLIENT))
            topic = kafka.physical(record.topic)
            await producer.send_and_wait(
                topic, record.value, key=record.key, headers=record.headers, timestamp_ms=stamp
            )


async def test_a_consumer_that_is_behind_shows_it_in_records_and_seconds_and_catches_up(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    account = uuid4()
    orders = [order_placed(uuid4(), account) for _ in range(40)]
    where = {"topic": ORDERS_EVENTS.name, "partition": str(database.outbox.partition_of(str(account)))}
    taker.gate.clear()
    await send_aged(kafka, HOUR, *orders)
    async with consuming(kafka, database, taker.subscriber) as (bus, _):
        await asyncio.wait_for(taker.begun.wait(), 20)
        seen = await told(bus.consumption)
        assert seen.of(LAG, group=GROUP, **where) == len(orders)
        assert HOUR <= (seen.of(LAG_SECONDS, group=GROUP, **where) or 0) < HOUR + 60
        assert seen.labels(LAG, "topic") <= {topic.name for topic in taker.subscriber.all_topics}, "without a prefix"

        taker.gate.set()

        async def caught_up() -> bool:
            seen = await told(bus.consumption)
            return seen.of(LAG, **where) == 0 and seen.of(LAG_SECONDS, **where) == 0

        await eventually(caught_up)
        assert (await told(bus.consumption)).of(MESSAGES, group=GROUP, fate="done") == len(orders)
        # Every partition that it has is told of, those without a record as well.
        every = len(taker.subscriber.all_topics) * PARTITIONS

        async def all_told() -> bool:
            return len((await told(bus.consumption)).all(LAG, group=GROUP)) == every

        await eventually(all_told)


async def test_a_batch_that_waits_for_the_database_is_lag_until_it_is_done(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    older, order = (order_placed(uuid4(), account) for account in [uuid4()] * 2)
    taker.faults[order.id] = [OperationalError("SELECT 1", {}, Exception("the database is away"))] * 3
    await send_aged(kafka, 2 * HOUR, older)
    await send_aged(kafka, HOUR, order)
    async with consuming(kafka, database, taker.subscriber) as (bus, _):
        lags, waited = set[tuple[float | None, bool]](), 0.0
        while order.id not in taker.taken:
            seen = await told(bus.consumption)
            waited = seen.of(MESSAGES, fate="waited") or 0
            if waited and order.id not in taker.taken:
                lags.add((seen.of(LAG, topic=ORDERS_EVENTS.name), (seen.of(LAG_SECONDS) or 0) >= 2 * HOUR))
            await asyncio.sleep(0.02)
        assert waited == 3
        assert lags == {(2, True)}

        async def caught_up() -> bool:
            return (await told(bus.consumption)).of(LAG, topic=ORDERS_EVENTS.name) == 0

        await eventually(caught_up)


async def test_records_that_were_never_handed_out_are_lag_whose_age_grows(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    first, second = uuid4(), uuid4()
    while database.outbox.partition_of(str(second)) == database.outbox.partition_of(str(first)):
        second = uuid4()
    async with consuming(kafka, database, taker.subscriber) as (bus, _):
        await send(kafka, order_placed(uuid4(), second))
        await asyncio.wait_for(taker.begun.wait(), 20)
        taker.begun.clear()
        taker.gate.clear()
        await send(kafka, order_placed(uuid4(), first))
        await asyncio.wait_for(taker.begun.wait(), 20)
        await send(kafka, *(order_placed(uuid4(), second) for _ in range(5)))
        where = {"topic": ORDERS_EVENTS.name, "partition": str(database.outbox.partition_of(str(second)))}

        async def behind() -> bool:
            return (await told(bus.consumption)).of(LAG, **where) == 5

        await eventually(behind)
        before = (await told(bus.consumption)).of(LAG_SECONDS, **where) or 0
        await asyncio.sleep(0.3)
        after = (await told(bus.consumption)).of(LAG_SECONDS, **where) or 0
        assert 0.3 <= after - before < 5
        taker.gate.set()

        async def caught_up() -> bool:
            return (await told(bus.consumption)).of(LAG) == 0

        await eventually(caught_up)


async def test_what_became_of_messages_is_counted_by_fate_and_reason(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    good, refused, stubborn = (order_placed(uuid4(), uuid4()) for _ in range(3))
    taker.faults[refused.id] = [Conflict("no")] * 2
    taker.faults[stubborn.id] = [RuntimeError("a defect of ours")] * 10
    async with consuming(kafka, database, taker.subscriber) as (bus, _):
        assert (await told(bus.consumption)).of(MESSAGES, fate="parked") == 0, "so that a first one is a growth"
        async with producing(kafka) as producer:
            await producer.send_and_wait(kafka.physical(ORDERS_EVENTS.name), b"\xff", key=b"k", partition=0)
        await send(kafka, refused, stubborn, good)

        async def all_settled() -> bool:
            seen = await told(bus.consumption)
            return seen.of(MESSAGES, fate="done") == 1 and seen.of(MESSAGES, fate="parked") == 3

        await eventually(all_settled)
        seen = await told(bus.consumption)
    parked = {s.labels["reason"]: s.value for s in seen.samples if s.name == "portfolio_bus_consumer_parked_total"}
    assert parked == {"missing_attribute": 1, "refused": 1, "out_of_patience": 1}
    assert (seen.of(MESSAGES, fate="retried") or 0) >= 2
    assert seen.of("portfolio_bus_consumer_batch_records_sum", group=GROUP) == 4
    assert (seen.of("portfolio_bus_consumer_batch_seconds_sum", group=GROUP) or 0) > 0


async def test_commands_that_are_refused_are_counted_apart_from_those_that_are_done(
    kafka: Kafka, database: Database
) -> None:
    subscriber = Subscriber(GROUP, [ORDERS_COMMANDS])
    refused = {uuid4(), uuid4()}

    @subscriber.on_command(CancelOrder)
    async def on_cancel_order(_: UnitOfWork, command: Received[Any]) -> None:
        if command.body.order_id in refused:
            raise Conflict

    await make_topics(kafka, subscriber)
    orders = [*refused, *(uuid4() for _ in range(3))]
    await send(kafka, *(CancelOrder(order_id=order, account_id=uuid4()) for order in orders))
    async with consuming(kafka, database, subscriber) as (bus, _):

        async def all_answered() -> bool:
            seen = await told(bus.consumption)
            return (seen.of(MESSAGES, fate="refused"), seen.of(MESSAGES, fate="done")) == (2, 3)

        await eventually(all_answered)


async def test_partitions_whose_records_were_lost_are_told_of_and_nothing_counts_as_done(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    account = uuid4()
    partition = database.outbox.partition_of(str(account))
    async with consuming(kafka, database, taker.subscriber):
        await send(kafka, order_placed(uuid4(), account))
        await asyncio.wait_for(taker.begun.wait(), 20)
    others = [order_placed(uuid4(), uuid4()) for _ in range(20)]
    healthy = [o for o in others if database.outbox.partition_of(str(o.account_id)) != partition]
    await send(kafka, order_placed(uuid4(), account), order_placed(uuid4(), account), *healthy)
    admin = kafka.admin()
    await admin.start()
    try:
        where = TopicPartition(kafka.physical(ORDERS_EVENTS.name), partition)
        await admin.delete_records({where: RecordsToDelete(before_offset=2)})
    finally:
        await admin.close()
    async with consuming(kafka, database, taker.subscriber) as (bus, _):

        async def stopped() -> bool:
            seen = await told(bus.consumption)
            return seen.of("portfolio_bus_consumer_stopped_partitions", group=GROUP, reason="lost") == 1

        await eventually(stopped)
        seen = await told(bus.consumption)
        taken = seen.of("portfolio_bus_consumer_batch_records_sum", group=GROUP) or 0

        async def the_rest_waits() -> bool:
            lags = [s for s in (await told(bus.consumption)).samples if s.name == LAG]
            return sum(s.value for s in lags if s.labels["partition"] != str(partition)) >= len(healthy) - taken

        await eventually(the_rest_waits)
        assert seen.of("portfolio_bus_consumer_stopped_partitions", reason="unpackable") == 0


@asynccontextmanager
async def relaying(database: Database, kafka: Kafka) -> AsyncIterator[Relay]:
    relay = Relay(database, kafka, "measured-relay", lease_seconds=2)
    task = asyncio.create_task(relay.run(lambda: None))
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(database: Database, count: int) -> None:
    async with database.unit_of_work(Cause(uuid4(), "request-1")) as work:
        work.publish(*(order_placed(uuid4(), uuid4()) for _ in range(count)))


async def test_the_outbox_shows_how_much_waits_and_since_when_until_the_relay_has_published_it(
    kafka: Kafka, database: Database
) -> None:
    await ensure_topics(kafka, [ORDERS_EVENTS], partitions=PARTITIONS, replication=1)
    await publish(database, 30)
    async with database.unit_of_work() as work:
        await work.connection.execute(text("UPDATE outbox SET created_at = created_at - interval '1 hour'"))

    async def seen() -> Scraped:
        backlog = Backlog(database)
        await backlog.refresh()
        return await told(backlog)

    waiting = await seen()
    assert waiting.of(OUTBOX) == 30
    assert HOUR <= (waiting.of(OUTBOX_AGE) or 0) < HOUR + 60
    async with relaying(database, kafka) as relay:

        async def drained() -> bool:
            now = await seen()
            return now.of(OUTBOX) == 0 and now.of(OUTBOX_AGE) == 0

        await eventually(drained)
        assert (await told(relay)).of("portfolio_bus_relay_published_total", topic=ORDERS_EVENTS.name) == 30


async def test_a_long_outbox_is_estimated_and_not_counted(database: Database) -> None:
    rows = 60_000
    async with database.unit_of_work() as work:
        statement = (
            "INSERT INTO outbox (topic, key, shard, headers, payload) "
            "SELECT 't', 'k', n % :shards, '{}', '' FROM generate_series(1, :rows) AS n"
        )
        await work.connection.execute(text(statement), {"rows": rows, "shards": SHARDS})
    backlog = Backlog(database, clock=iter(range(0, 10_000, 100)).__next__)

    async def estimated() -> bool:
        await backlog.refresh()
        return 0.9 * rows < ((await told(backlog)).of(OUTBOX) or 0) < 1.1 * rows

    await eventually(estimated)
    async with database.reading() as connection:
        explain = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {_WAITING.text}")
        plan = str((await connection.execute(explain, {"counted": 2_500, "shards": SHARDS})).scalar_one())
    assert "Seq Scan" not in plan, "the front of the table may be full of deleted rows"


async def test_scrapes_within_seconds_share_one_statement_and_traffic_costs_none(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    metrics, backlog = Metrics(), Backlog(database)
    metrics.ask_first(backlog.refresh)
    metrics.add(database, backlog)
    orders = [order_placed(uuid4(), uuid4()) for _ in range(50)]
    async with consuming(kafka, database, taker.subscriber) as (bus, _):
        metrics.add(bus.consumption)
        with counted(database) as statements:
            await send(kafka, *orders)
            await eventually(lambda: _all_in(taker, orders))
            taking = len(statements)
            await asyncio.gather(*(metrics.text() for _ in range(30)))
            assert len(statements) - taking == 1
    # Inbox and position, and once how far the group had come: they are the same whether a batch is measured or not.
    batches = int((await told(bus.consumption)).of("portfolio_bus_consumer_batch_records_count") or 0)
    assert taking <= 1 + 2 * batches


async def _all_in(taker: Taker, orders: Sequence[OrderPlaced]) -> bool:
    return taker.taken >= {order.id for order in orders}


async def test_a_database_that_is_away_leaves_the_outbox_out_and_holds_nothing_up(database: Database) -> None:
    away = Database("postgresql+asyncpg://nobody:x@127.0.0.1:1/none", database.outbox)
    metrics, backlog = Metrics(), Backlog(away)
    metrics.ask_first(backlog.refresh)
    metrics.add(away, backlog)
    began = time.monotonic()
    seen = Scraped((await metrics.text()).decode())
    assert time.monotonic() - began < 2
    assert seen.of(OUTBOX) is None
    assert seen.of("portfolio_bus_database_pool_size") == 10
    await away.close()


async def test_a_table_that_is_not_there_leaves_the_outbox_out_and_is_an_error_in_the_log(database: Database) -> None:
    async with database.unit_of_work() as work:
        await work.connection.execute(text("DROP TABLE outbox"))
    metrics, backlog = Metrics(), Backlog(database)
    metrics.ask_first(backlog.refresh)
    metrics.add(backlog)
    with capture_logs() as lines:
        seen = Scraped((await metrics.text()).decode())

    assert seen.of(OUTBOX) is None
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["the outbox cannot be counted"]


async def test_a_database_whose_connections_are_all_in_use_holds_a_scrape_up_for_a_second_at_most(
    database: Database,
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    small = Database(url, database.outbox, pool_size=2)
    metrics, backlog = Metrics(), Backlog(small)
    metrics.ask_first(backlog.refresh)
    metrics.add(small, backlog)
    async with small.reading(), small.reading():
        began = time.monotonic()
        seen = Scraped((await metrics.text()).decode())
        assert time.monotonic() - began < 2
        assert (seen.of("portfolio_bus_database_pool_in_use"), seen.of(OUTBOX)) == (2, None)
    assert Scraped((await metrics.text()).decode()).of("portfolio_bus_database_pool_in_use") == 0
    await small.close()


async def test_waits_at_the_barrier_are_timed_by_how_they_end(kafka: Kafka, database: Database) -> None:
    await ensure_topics(kafka, [CONFIGURATIONS_EVENTS], partitions=PARTITIONS, replication=1)
    barrier = ReadBarrier(kafka, database, "bench.copies", [CONFIGURATIONS_EVENTS], PARTITIONS)
    await barrier.wait([str(uuid4())])
    async with producing(kafka) as producer:
        for partition in range(PARTITIONS):
            topic = kafka.physical(CONFIGURATIONS_EVENTS.name)
            await producer.send_and_wait(topic, b"{}", key=b"k", partition=partition)
    with pytest.raises(BarrierNotPassedError):
        await barrier.wait(None, seconds=0.3)
    await barrier.close()
    seen = await told(barrier)
    name = "portfolio_bus_barrier_wait_seconds"
    assert seen.of(f"{name}_count", keeper="bench.copies", outcome="passed") == 1
    assert seen.of(f"{name}_count", keeper="bench.copies", outcome="late") == 1
    assert (seen.of(f"{name}_sum", outcome="late") or 0) >= 0.3
