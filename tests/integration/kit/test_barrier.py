"""The read barrier: what was readable when the question was asked is applied before it is answered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import QueuePool

from shared.contracts import CONFIGURATIONS_EVENTS, ConfigurationCreated, ConfigurationState, partition_of
from shared.kit.barrier import BarrierNotPassedError, ReadBarrier
from shared.kit.kafka import Kafka
from shared.kit.received import Received
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import Database, UnitOfWork
from tests.conftest import PARTITIONS

from .bench import consuming, make_topics, send

GROUP = "bench.copies"


def configuration_created(account: UUID) -> ConfigurationCreated:
    now = datetime.now(UTC)
    return ConfigurationCreated(
        account_id=account, allocation_id=uuid4(), version=1, revision=1, configured=True,
        created_at=now, updated_at=now, deleted_at=None,
    )  # fmt: skip


class Keeper:
    """Keeps copies in memory, as fast as `gate` lets it."""

    def __init__(self) -> None:
        self.subscriber = Subscriber(GROUP, [CONFIGURATIONS_EVENTS], keeps_copies=True)
        self.subscriber.on(ConfigurationState)(self.on_configuration)
        self.gate = asyncio.Event()
        self.gate.set()
        self.copies: set[UUID] = set()

    async def on_configuration(self, _: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        await self.gate.wait()
        self.copies |= {each.body.account_id for each in messages}


@pytest.fixture
async def keeper(kafka: Kafka) -> Keeper:
    made = Keeper()
    await make_topics(kafka, made.subscriber)
    return made


@pytest.fixture
async def barrier(kafka: Kafka, database: Database) -> AsyncIterator[ReadBarrier]:
    made = ReadBarrier(kafka, database, GROUP, [CONFIGURATIONS_EVENTS], PARTITIONS)
    yield made
    await made.close()


@pytest.mark.usefixtures("keeper")
async def test_it_passes_at_once_where_nothing_was_ever_written(barrier: ReadBarrier) -> None:
    await barrier.wait([str(uuid4())])


async def test_after_it_the_copy_holds_what_was_readable_before(
    kafka: Kafka, database: Database, barrier: ReadBarrier, keeper: Keeper
) -> None:
    async with consuming(kafka, database, keeper.subscriber):
        for _ in range(20):
            account = uuid4()
            await send(kafka, configuration_created(account))
            await barrier.wait([str(account)])
            assert account in keeper.copies


async def test_it_waits_for_a_slow_keeper_and_gives_up_in_time(
    kafka: Kafka, database: Database, barrier: ReadBarrier, keeper: Keeper
) -> None:
    keeper.gate.clear()
    account = uuid4()
    async with consuming(kafka, database, keeper.subscriber):
        await send(kafka, configuration_created(account))
        with pytest.raises(BarrierNotPassedError):
            await barrier.wait([str(account)], seconds=0.3)
        waiting = asyncio.create_task(barrier.wait([str(account)]))
        keeper.gate.set()
        await waiting

    assert account in keeper.copies


async def test_of_a_topic_with_keys_of_another_kind_it_waits_for_every_partition(
    kafka: Kafka, database: Database, barrier: ReadBarrier, keeper: Keeper
) -> None:
    whole = ReadBarrier(kafka, database, GROUP, [CONFIGURATIONS_EVENTS], PARTITIONS, whole=[CONFIGURATIONS_EVENTS])
    account = uuid4()
    elsewhere = next(
        str(key)
        for key in iter(uuid4, None)
        if partition_of(str(key), PARTITIONS) != partition_of(str(account), PARTITIONS)
    )
    keeper.gate.clear()
    async with consuming(kafka, database, keeper.subscriber):
        await send(kafka, configuration_created(account))
        await barrier.wait([elsewhere], seconds=5)
        with pytest.raises(BarrierNotPassedError):
            await whole.wait([elsewhere], seconds=0.3)
        keeper.gate.set()
        await whole.wait([elsewhere])
    await whole.close()
    assert account in keeper.copies


async def test_a_transaction_that_was_aborted_does_not_hold_it_up(
    kafka: Kafka, database: Database, barrier: ReadBarrier, keeper: Keeper
) -> None:
    account = uuid4()
    producer, next_one = (kafka.transactional_producer("bench.relay.0") for _ in range(2))
    await producer.start()
    async with consuming(kafka, database, keeper.subscriber):
        producer.begin()
        partition = partition_of(str(account), PARTITIONS)
        producer.send(kafka.physical(CONFIGURATIONS_EVENTS.name), partition, str(account), b"{}", {})
        await producer.delivered(seconds=20)
        await producer.close()
        await next_one.start()  # which aborts what was left open
        await barrier.wait([str(account)])
    await next_one.close()


async def test_callers_that_wait_together_share_the_question(
    kafka: Kafka, database: Database, barrier: ReadBarrier, keeper: Keeper
) -> None:
    asked = 0
    ask = barrier._ask

    async def counted() -> Any:
        nonlocal asked
        asked += 1
        return await ask()

    barrier._ask = counted  # type: ignore[method-assign]
    async with consuming(kafka, database, keeper.subscriber):
        await asyncio.gather(*(barrier.wait([str(uuid4())]) for _ in range(100)))

    assert asked <= 2


async def test_closing_it_gives_back_what_a_question_that_is_under_way_holds(
    kafka: Kafka, database: Database, keeper: Keeper
) -> None:
    assert keeper.subscriber.group == GROUP
    barrier = ReadBarrier(kafka, database, GROUP, [CONFIGURATIONS_EVENTS], PARTITIONS)
    held = asyncio.Event()

    async def never() -> dict[tuple[str, int], int]:
        async with database.reading():
            held.set()
            await asyncio.Event().wait()
        raise AssertionError

    barrier._applied = never  # type: ignore[method-assign]
    waiting = asyncio.create_task(barrier.wait(None))
    await asyncio.wait_for(held.wait(), 20)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await barrier.close()

    assert cast("QueuePool", database.engine.pool).checkedout() == 0


async def test_without_kafka_it_does_not_pass(database: Database) -> None:
    nowhere = Kafka("127.0.0.1:1", "")
    barrier = ReadBarrier(nowhere, database, GROUP, [CONFIGURATIONS_EVENTS], PARTITIONS)
    with pytest.raises((BarrierNotPassedError, Exception)) as failure:
        await barrier.wait([str(uuid4())], seconds=0.5)
    from shared.kit.faults import is_infrastructure  # noqa: PLC0415

    assert is_infrastructure(failure.value)
    await barrier.close()
