"""P2: one account's events stand in commit order, with several relays, late commits and fenced predecessors."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import psutil
import pytest
from sqlalchemy import text

from deploy.local.stack import local_stack
from deploy.local.topics import records_of
from shared.contracts import ORDERS_EVENTS, OrderPlaced
from shared.contracts.topics import MAX_MESSAGE_BYTES
from shared.kit import relay as relays
from shared.kit.cause import Cause
from shared.kit.kafka import Kafka
from shared.kit.leases import Leases
from shared.kit.outbox import SHARDS
from shared.kit.producer import PRODUCER_FAULTS
from shared.kit.relay import Relay
from shared.kit.topics import ensure_topics
from shared.kit.unit_of_work import Database
from shared.kit.waiting import shards_with_news
from tests.conftest import PARTITIONS, eventually

from .crash_driver import order_placed

CAUSE = Cause(uuid4(), "request-1")


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    await ensure_topics(kafka, [ORDERS_EVENTS], partitions=PARTITIONS, replication=1)
    return ORDERS_EVENTS.name


@asynccontextmanager
async def relaying(
    database: Database,
    kafka: Kafka,
    service: str = "relay-test",
    *,
    hidden_seconds: float = 4.0,
    of_everything: bool = False,
) -> AsyncIterator[Relay]:
    relay = Relay(database, kafka, service, lease_seconds=2, hidden_seconds=hidden_seconds, of_everything=of_everything)
    task = asyncio.create_task(relay.run(lambda: None))
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def outbox_is_empty(database: Database) -> bool:
    async with database.reading() as connection:
        return not (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one()


async def publish(database: Database, account: UUID, order: UUID) -> None:
    async with database.unit_of_work(CAUSE) as work:
        work.publish(order_placed(order, account))


async def published(kafka: Kafka) -> dict[UUID, list[UUID]]:
    found = defaultdict(list)
    for record in await records_of(kafka, ORDERS_EVENTS.name):
        placed = OrderPlaced.model_validate_json(record.value)
        found[placed.account_id].append(placed.id)
    return found


@pytest.mark.usefixtures("topic")
async def test_two_relays_keep_each_accounts_events_in_commit_order(database: Database, kafka: Kafka) -> None:
    accounts = [uuid4() for _ in range(8)]
    expected: dict[UUID, list[UUID]] = {account: [uuid4() for _ in range(40)] for account in accounts}

    async def write(account: UUID) -> None:
        for order in expected[account]:
            await publish(database, account, order)

    async with AsyncExitStack() as relays:
        for _ in range(2):
            await relays.enter_async_context(relaying(database, kafka))
        await asyncio.gather(*map(write, accounts))
        await eventually(lambda: outbox_is_empty(database), seconds=60)

    assert await published(kafka) == expected


@pytest.mark.usefixtures("topic")
async def test_a_relay_looks_for_news_above_what_it_has_published(
    database: Database, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, above = uuid4(), dict[int, int]()

    async def noting(connection: asyncpg.Connection, cursors: Mapping[int, int]) -> set[int]:
        above.update(cursors)
        return await shards_with_news(connection, cursors)

    monkeypatch.setattr(relays, "shards_with_news", noting)
    async with relaying(database, kafka):

        async def looked_above_it() -> bool:
            await publish(database, account, uuid4())
            return above.get(database.outbox.shard_of(str(account)), 0) > 0

        await eventually(looked_above_it)


@pytest.mark.usefixtures("topic")
async def test_an_event_committed_late_is_published_though_later_ids_went_before(
    database: Database, kafka: Kafka
) -> None:
    late, early = uuid4(), uuid4()
    while database.outbox.shard_of(str(late)) != database.outbox.shard_of(str(early)):
        early = uuid4()
    late_order, early_orders = uuid4(), [uuid4() for _ in range(5)]
    async with relaying(database, kafka):
        async with database.unit_of_work(CAUSE) as slow:
            # The late transaction owns a transaction id and its outbox id before the early ones begin.
            slow.publish(order_placed(late_order, late))
            await slow.flush()
            for order in early_orders:
                await publish(database, early, order)

            async def early_ones_are_out() -> bool:
                return (await published(kafka))[early] == early_orders

            await eventually(early_ones_are_out)
        await eventually(lambda: outbox_is_empty(database))

    assert await published(kafka) == {late: [late_order], early: early_orders}


async def test_what_cannot_be_read_yet_is_kept_and_published_again(
    database: Database, kafka: Kafka, topic: str
) -> None:
    account, order = uuid4(), uuid4()
    # A transaction that ends late, as one does whose broker died before it had marked its commit here.
    other = kafka.transactional_producer("another.relay.0")
    await other.start()
    other.begin()
    hiding = order_placed(uuid4(), account)
    other.send(
        kafka.physical(topic), database.outbox.partition_of(str(account)), "k", hiding.model_dump_json().encode(), {}
    )
    await other.delivered(seconds=20)

    async with relaying(database, kafka, hidden_seconds=0.3) as relay:

        async def published_twice() -> bool:
            return sum(sample.value for metric in relay.collect() for sample in metric.samples) >= 2

        await publish(database, account, order)
        await eventually(published_twice)
        assert not await outbox_is_empty(database)
        assert await published(kafka) == {}
        await other.commit(seconds=20)
        await eventually(lambda: outbox_is_empty(database))
    await other.close()
    first, *copies = (await published(kafka))[account]
    assert first == hiding.id
    assert set(copies) == {order}


async def test_a_relay_that_was_fenced_cannot_publish_what_it_had_read(kafka: Kafka, topic: str) -> None:
    first = kafka.transactional_producer("relay-test.relay.0")
    await first.start()
    first.begin()
    first.send(kafka.physical(topic), 0, "k", b"old", {})
    await first.delivered(seconds=20)
    second = kafka.transactional_producer("relay-test.relay.0")
    await second.start()
    with pytest.raises(PRODUCER_FAULTS, match="InvalidProducerEpoch"):
        await first.commit(seconds=20)
    await asyncio.gather(first.close(), second.close())

    assert await records_of(kafka, topic) == []


async def test_a_batch_of_which_the_broker_refuses_one_message_is_not_published(kafka: Kafka, topic: str) -> None:
    producer, next_one = (kafka.transactional_producer("relay-test.relay.0") for _ in range(2))
    await producer.start()
    producer.begin()
    producer.send(kafka.physical(topic), 0, "k", b"good", {"ce_id": "1"})
    producer.send(kafka.physical(topic), 1, "k", os.urandom(MAX_MESSAGE_BYTES * 2), {"ce_id": "2"})
    with pytest.raises(PRODUCER_FAULTS, match="MessageSizeTooLarge"):
        await producer.delivered(seconds=20)
    await producer.close()
    await next_one.start()
    next_one.begin()
    next_one.send(kafka.physical(topic), 0, "k", b"better", {"ce_id": "3", "ce_source": "/ü"})
    await next_one.delivered(seconds=20)
    await next_one.commit(seconds=20)
    await next_one.close()

    [record] = await records_of(kafka, topic)
    assert (record.key, record.value, record.partition) == (b"k", b"better", 0)
    assert record.headers == (("ce_id", b"3"), ("ce_source", "/ü".encode()))


@pytest.mark.usefixtures("topic")
async def test_a_relay_takes_its_process_for_the_only_one_if_that_has_all_roles_and_it_knows_of_no_other(
    database: Database, kafka: Kafka
) -> None:
    async def alone(relay: Relay) -> bool:
        return relay._attention.alone

    async def accompanied(relay: Relay) -> bool:
        return not relay._attention.alone

    async def has_attended(relay: Relay) -> bool:
        return relay._leases.others is not None

    async with relaying(database, kafka, of_everything=True) as first:
        await eventually(lambda: alone(first))
        async with relaying(database, kafka, of_everything=True):
            await eventually(lambda: accompanied(first))
        await eventually(lambda: alone(first))

    async with relaying(database, kafka) as of_workers_alone:
        await eventually(lambda: has_attended(of_workers_alone))
        assert (of_workers_alone._leases.others, of_workers_alone._attention.alone) == (0, False)


async def test_every_shard_has_one_owner_and_a_relay_that_leaves_gives_its_shards_back(database: Database) -> None:
    first, second = Leases(database, 2), Leases(database, 2)

    assert await first.shards() == set(range(SHARDS)), "alone it takes all"
    assert first.others == 0
    assert await second.shards() == set(), "nothing is free yet"
    mine = await first.shards()
    assert first.others == second.others == 1
    assert len(mine) == SHARDS // 2, "a second member halves the share"
    await first.release(sorted(set(range(SHARDS)) - mine))
    theirs = await second.shards()
    assert mine | theirs == set(range(SHARDS))
    assert not mine & theirs

    await first.leave()
    assert await second.shards() == set(range(SHARDS))
    assert second.others == 0


async def test_a_lease_that_was_not_renewed_goes_to_another_relay(database: Database) -> None:
    paused, other = Leases(database, 0.3), Leases(database, 0.3)
    assert await paused.shards() == set(range(SHARDS))

    async def all_taken() -> bool:
        return await other.shards() == set(range(SHARDS))

    await eventually(all_taken, every=0.1)
    assert not await paused.holds(0)


@pytest.mark.usefixtures("topic")
async def test_a_backlog_is_read_in_bounded_batches(database: Database, kafka: Kafka) -> None:
    account = uuid4()
    orders = [uuid4() for _ in range(4500)]
    async with database.unit_of_work(CAUSE) as work:
        work.publish(*(order_placed(order, account) for order in orders))
    async with relaying(database, kafka):
        await eventually(lambda: outbox_is_empty(database))

    assert await published(kafka) == {account: orders}


async def test_a_relay_can_be_stopped_while_the_broker_does_not_answer(database: Database) -> None:
    with local_stack() as stack:
        kafka = Kafka(stack.kafka, client_id="test")
        await ensure_topics(kafka, [ORDERS_EVENTS], partitions=PARTITIONS, replication=1)
        relay = asyncio.create_task(Relay(database, kafka, "stopping", lease_seconds=2).run(lambda: None))
        await publish(database, uuid4(), uuid4())
        await eventually(lambda: outbox_is_empty(database))
        os.kill(stack.nodes["kafka-1"].pid, signal.SIGSTOP)
        try:
            await publish(database, uuid4(), uuid4())
            async with database.reading() as connection:
                owned = (
                    await connection.execute(text("SELECT count(*) FROM relay_leases WHERE holder IS NOT NULL"))
                ).scalar_one()
            assert owned == SHARDS
            relay.cancel()
            async with asyncio.timeout(15):
                await asyncio.gather(relay, return_exceptions=True)
        finally:
            os.kill(stack.nodes["kafka-1"].pid, signal.SIGCONT)
    async with database.reading() as connection:
        left = (
            await connection.execute(text("SELECT count(*) FROM relay_leases WHERE holder IS NOT NULL"))
        ).scalar_one()
    assert left == 0, "its leases are given back"
    open_to = {each.raddr.port for each in psutil.Process().net_connections() if each.raddr}
    assert int(stack.kafka.rpartition(":")[2]) not in open_to, "its producers are gone"


@pytest.mark.usefixtures("topic")
async def test_rows_of_other_processes_are_found_while_this_one_always_has_news(
    database: Database, kafka: Kafka
) -> None:
    busy, other = uuid4(), uuid4()
    while database.outbox.shard_of(str(other)) == database.outbox.shard_of(str(busy)):
        other = uuid4()

    async def never_quiet() -> None:
        while True:
            database.signal.wake([database.outbox.shard_of(str(busy))])
            await asyncio.sleep(0.005)

    async with relaying(database, kafka):
        await publish(database, busy, uuid4())
        await eventually(lambda: outbox_is_empty(database))
        noise = asyncio.create_task(never_quiet())
        elsewhere = Database(database.engine.url.render_as_string(hide_password=False), database.outbox)
        await publish(elsewhere, other, uuid4())
        await elsewhere.close()
        await eventually(lambda: outbox_is_empty(database), seconds=5)
        noise.cancel()
