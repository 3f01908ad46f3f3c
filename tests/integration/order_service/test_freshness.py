"""Deciding on copies while Kafka or the keeper of the copies is away."""

import asyncio

import pytest

from services.order_service.app import build
from services.order_service.domain import ConfigurationMissing, Order
from services.order_service.settings import Settings
from services.order_service.use_cases import Copies
from shared.kit.barrier import ReadBarrier
from shared.kit.faults import is_infrastructure
from shared.kit.service import Service

from .world import World, configured


async def test_with_kafka_away_nothing_is_refused_and_nothing_is_decided(service: Service, world: World) -> None:
    away = service.kafka.__class__("127.0.0.1:1", service.kafka.prefix)
    barrier = ReadBarrier(away, service.database, "order_service.copies", (), 3)
    copies = Copies(service.database, barrier, barrier_wait=2.0)
    account_id = await world.an_account()

    async def decide() -> Order:
        return await world.an_order(account_id)

    with pytest.raises(Exception, match=r".*") as fault:
        await copies.decided(decide, [account_id], {})
    assert is_infrastructure(fault.value)
    await barrier.close()


async def test_with_kafka_away_orders_that_need_no_second_look_are_taken(service: Service, world: World) -> None:
    away = service.kafka.__class__("127.0.0.1:1", service.kafka.prefix)
    copies = Copies(service.database, ReadBarrier(away, service.database, "order_service.copies", (), 3))
    account_id = await world.an_account(version=1)

    async def decide() -> Order:
        return await world.an_order(account_id)

    assert (await copies.decided(decide, [account_id], {})).configuration_version == 1


async def test_a_refusal_is_decided_again_after_the_barrier(service: Service, world: World) -> None:
    account_id = await world.an_account()
    barrier = ReadBarrier(service.kafka, service.database, "order_service.copies", (), 3)
    decided: list[int] = []

    async def decide() -> Order:
        decided.append(1)
        if len(decided) == 2:
            await world.applied(configured(account_id, 1))
        return await world.an_order(account_id)

    order = await Copies(service.database, barrier).decided(decide, [account_id], {})
    assert (order.configuration_version, len(decided)) == (1, 2)
    await barrier.close()


async def test_a_refusal_that_stands_is_told_as_it_is(service: Service, world: World) -> None:
    account_id = await world.an_account()
    barrier = ReadBarrier(service.kafka, service.database, "order_service.copies", (), 3)

    async def decide() -> Order:
        return await world.an_order(account_id)

    with pytest.raises(ConfigurationMissing):
        await Copies(service.database, barrier).decided(decide, [account_id], {})
    await barrier.close()


async def test_building_the_service_connects_to_nothing() -> None:
    before = asyncio.all_tasks()
    built = build(
        Settings.model_validate(
            {
                "database_url": "postgresql://nobody:x@127.0.0.1:1/none",
                "kafka": "127.0.0.1:1",
                "issuer_url": "http://127.0.0.1:1",
            }
        )
    )
    assert [subscriber.group for subscriber in built.subscribers] == ["order_service.copies", "order_service.commands"]
    assert asyncio.all_tasks() == before
