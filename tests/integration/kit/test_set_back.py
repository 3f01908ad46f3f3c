"""A database that was set back, to a backup or by a failover: what it has forgotten is taken again, and held for (P5).

Kafka goes on saying how far the group had come. The backup is a real one: a copy of the database at that moment.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from sqlalchemy import text

from shared.contracts import CONFIGURATIONS_EVENTS, ORDERS_EVENTS, ConfigurationState, OrderPlaced
from shared.kit import schema
from shared.kit.barrier import BarrierNotPassedError, ReadBarrier
from shared.kit.faults import INFRASTRUCTURE
from shared.kit.inbox import keep_partitions
from shared.kit.kafka import Kafka
from shared.kit.outbox import Outbox
from shared.kit.received import Received
from shared.kit.settings import async_url
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import Database, UnitOfWork
from tests.backups import Backup
from tests.conftest import PARTITIONS, eventually

from .bench import consuming, make_topics, send
from .crash_driver import order_placed
from .test_barrier import configuration_created

ACTS = Subscriber("bench.acts", [ORDERS_EVENTS])
KEEPS = Subscriber("bench.keeps", [CONFIGURATIONS_EVENTS], keeps_copies=True)


@ACTS.on(OrderPlaced)
async def _act(work: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
    for each in messages:
        await work.connection.execute(text("INSERT INTO taken VALUES (:id)"), {"id": each.body.id})


@KEEPS.on(ConfigurationState)
async def _keep(work: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
    for each in messages:
        await work.connection.execute(text("INSERT INTO taken VALUES (:id)"), {"id": each.body.account_id})


@pytest.fixture
async def dsn(fresh_database: Callable[[], str], kafka: Kafka) -> str:
    for group in (ACTS, KEEPS):
        await make_topics(kafka, group)
    return await prepared(fresh_database())


@pytest.fixture
def backup(dsn: str) -> Backup:
    return Backup(dsn)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with connected(dsn) as made:
        yield made


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Database]:
    made = Database(async_url(dsn), Outbox("/test", PARTITIONS), application="test")
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def barrier(kafka: Kafka, database: Database) -> AsyncIterator[ReadBarrier]:
    made = ReadBarrier(kafka, database, KEEPS.group, [CONFIGURATIONS_EVENTS], PARTITIONS)
    try:
        yield made
    finally:
        await made.close()


async def prepared(dsn: str) -> str:
    await schema.migrate(async_url(dsn))
    async with connected(dsn) as database:
        await keep_partitions(database)
        async with database.unit_of_work() as work:
            await work.connection.execute(text("CREATE TABLE taken (id uuid NOT NULL)"))
    return dsn


async def taken(database: Database) -> Counter[UUID]:
    async with database.reading() as connection:
        return Counter((await connection.execute(text("SELECT id FROM taken"))).scalars())


async def all_taken(database: Database, ids: Sequence[UUID]) -> None:
    async def there() -> bool:
        with suppress(*INFRASTRUCTURE):  # our own connection is cut off as well
            return (await taken(database)).keys() >= set(ids)
        return False

    await eventually(there)


def some_orders() -> list[OrderPlaced]:
    return [order_placed(uuid4(), uuid4()) for _ in range(30)]


async def set_back_after_a_while(kafka: Kafka, database: Database, backup: Backup) -> list[OrderPlaced]:
    """Some orders come before the backup and some after it, and then all that was done with the latter is forgotten."""
    before, after = some_orders(), some_orders()
    await send(kafka, *before)
    async with consuming(kafka, database, ACTS):
        await all_taken(database, [order.id for order in before])
    await backup.take()
    await send(kafka, *after)
    async with consuming(kafka, database, ACTS):
        await all_taken(database, [order.id for order in after])
    await backup.set_back()
    return [*before, *after]


async def test_a_group_takes_again_what_came_after_the_backup_and_nothing_twice(
    kafka: Kafka, backup: Backup, database: Database
) -> None:
    known = await set_back_after_a_while(kafka, database, backup)
    later = some_orders()
    await send(kafka, *later)
    async with consuming(kafka, database, ACTS):
        await all_taken(database, [order.id for order in [*known, *later]])

    assert set((await taken(database)).values()) == {1}


async def test_a_group_whose_database_is_new_begins_at_the_beginning_whatever_kafka_keeps_of_it(
    kafka: Kafka, fresh_database: Callable[[], str], database: Database
) -> None:
    orders = some_orders()
    await send(kafka, *orders)
    async with consuming(kafka, database, ACTS):
        await all_taken(database, [order.id for order in orders])
    async with connected(await prepared(fresh_database())) as fresh, consuming(kafka, fresh, ACTS):
        await all_taken(fresh, [order.id for order in orders])


@pytest.mark.parametrize("comes", ["nothing more", "more"])
async def test_a_running_group_notices_that_its_database_was_set_back(
    kafka: Kafka, backup: Backup, database: Database, comes: str
) -> None:
    before, after, later = some_orders(), some_orders(), some_orders()
    async with consuming(kafka, database, ACTS):
        await send(kafka, *before)
        await all_taken(database, [order.id for order in before])
        await backup.take()
        await send(kafka, *after)
        await all_taken(database, [order.id for order in after])
        await backup.set_back()
        if comes == "more":
            await send(kafka, *later)
        expected = [*before, *after, *(later if comes == "more" else [])]
        await all_taken(database, [order.id for order in expected])

    assert await taken(database) == Counter(order.id for order in expected)


async def test_nothing_is_decided_on_copies_that_were_set_back_until_they_are_up_to_date_again(
    kafka: Kafka, backup: Backup, database: Database, barrier: ReadBarrier
) -> None:
    account = uuid4()

    async def passed() -> bool:
        with suppress(*INFRASTRUCTURE):  # our own connection is cut off as well
            await barrier.wait([str(account)])
            return True
        return False

    async with consuming(kafka, database, KEEPS):
        await send(kafka, configuration_created(uuid4()))
        await barrier.wait(None)
        await backup.take()
        await send(kafka, configuration_created(account))
        await eventually(passed)
    await backup.set_back()

    async def held() -> bool:
        try:
            await barrier.wait([str(account)], seconds=0.3)
        except BarrierNotPassedError:
            return True
        except INFRASTRUCTURE:
            return False  # our own connection is cut off as well
        pytest.fail("it was passed on copies that are behind")

    await eventually(held)
    async with consuming(kafka, database, KEEPS):
        await eventually(passed)
        assert account in await taken(database)


async def test_what_the_log_no_longer_has_of_it_is_reported_and_not_passed_over(
    kafka: Kafka, backup: Backup, database: Database
) -> None:
    account = uuid4()
    first, second, third = (order_placed(uuid4(), account) for _ in range(3))
    async with consuming(kafka, database, ACTS):
        await send(kafka, first)
        await all_taken(database, [first.id])
        await backup.take()
        await send(kafka, second, third)
        await all_taken(database, [second.id, third.id])
    await backup.set_back()
    admin = kafka.admin()
    await admin.start()
    where = TopicPartition(kafka.physical(ORDERS_EVENTS.name), database.outbox.partition_of(str(account)))
    try:
        await admin.delete_records({where: RecordsToDelete(before_offset=2)})
    finally:
        await admin.close()
    async with consuming(kafka, database, ACTS) as (bus, _):

        async def says_so() -> bool:
            return "behind the stored position 1 are gone" in (await bus.problem() or "")

        await eventually(says_so)

    assert third.id not in await taken(database)


async def test_while_its_database_is_away_a_group_takes_nothing_and_then_begins(
    kafka: Kafka, database: Database
) -> None:
    orders = some_orders()
    await send(kafka, *orders)
    usual, asked = Database.reading, asyncio.Event()

    def away(_: Database) -> Any:
        asked.set()
        raise ConnectionRefusedError

    database.reading = away.__get__(database)  # type: ignore[method-assign]
    async with consuming(kafka, database, ACTS) as (_, liveness):
        await asyncio.wait_for(asked.wait(), 20)
        database.reading = usual.__get__(database)  # type: ignore[method-assign]
        await all_taken(database, [order.id for order in orders])
        assert liveness.problems() == []

    assert set((await taken(database)).values()) == {1}


async def test_members_that_join_later_begin_where_the_effects_end(
    kafka: Kafka, dsn: str, backup: Backup, database: Database
) -> None:
    known = await set_back_after_a_while(kafka, database, backup)
    later = some_orders()
    async with connected(dsn) as another, consuming(kafka, database, ACTS), consuming(kafka, another, ACTS):
        await send(kafka, *later)
        await all_taken(database, [order.id for order in [*known, *later]])

    assert set((await taken(database)).values()) == {1}
