"""Several events of one account in one body: in order, frozen at the first attempt, sent or stopped whole."""

from typing import Any
from uuid import UUID

import orjson

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Capacity
from tests.unit.webhook_dispatcher.messages import configured, deleted, order_placed, rebalancing

from .receiver import Receiver, Sent, status
from .test_delivery import arrived, settled
from .world import Told, World

ROOM = Capacity(free=100, per_endpoint=100, busy={})


def events_in(sent: Sent) -> list[str]:
    return [item["id"] for item in orjson.loads(sent.body)["payload"]]


def orders(world: World, account_id: UUID, count: int) -> list[Told]:
    return [world.told(order_placed(account_id)) for _ in range(count)]


def ids(told: list[Told]) -> list[str]:
    return [each.envelope.id for each in told]


async def test_events_of_one_account_are_packed_in_their_order_up_to_the_size(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url, max_package_size=3, ordered=True)
    told = orders(world, await world.an_account(), 5)
    await world.happened(*told)
    async with world.dispatching():
        await arrived(receiver, 2)
        await settled(world, "DELIVERED", "DELIVERED")

    assert [events_in(sent) for sent in receiver.sent] == [ids(told[:3]), ids(told[3:])]
    for sent in receiver.sent:
        sent.verified(subscribed.secret)


async def test_an_event_joins_what_waits_for_its_first_attempt(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url, max_package_size=10, delay=1.0)
    account_id, other_id = await world.an_account(), await world.an_account()
    told = orders(world, account_id, 3)
    for each in told:
        await world.happened(each)
    await world.happened(order_placed(other_id))
    first, second = await world.deliveries()
    assert (first.event_id, first.more_event_ids) == (told[0].envelope.id, ids(told[1:]))
    assert first.more_event_types == ["PORTFOLIO_ORDER.NEW"] * 2
    assert second.account_id == other_id
    assert await use_cases.claim_due(world.database, ROOM, 30.0) == [], "its delay is not over"
    async with world.dispatching():
        await arrived(receiver, 2)

    assert ids(told) in [events_in(sent) for sent in receiver.sent]


async def test_a_package_is_frozen_at_its_first_attempt(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url, max_package_size=10, ordered=True)
    account_id = await world.an_account()
    told = orders(world, account_id, 3)
    # With a time to wait at least: chance alone may have it tried again at once.
    receiver.answers.append(status(429, Retry_After="1"))
    await world.happened(told[0])
    async with world.dispatching(schedule=[1.0]):
        await arrived(receiver, 1)
        await settled(world, "WAITING")
        for each in told[1:]:
            await world.happened(each)
        await settled(world, "DELIVERED", "DELIVERED")

    first, again, second = receiver.sent
    assert (first.message_id, first.body) == (again.message_id, again.body)
    assert [events_in(first), events_in(second)] == [ids(told[:1]), ids(told[1:])]


async def test_a_package_of_rebalancing_events_holds_one_version_and_is_stopped_whole(
    world: World, receiver: Receiver
) -> None:
    await world.subscribed(receiver.url, max_package_size=10)
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id), rebalancing(account_id))
    await world.happened(order_placed(account_id))
    await world.applied(deleted(account_id), configured(account_id, 2))
    await world.rebalanced(rebalancing(account_id, 2), rebalancing(account_id, 2))
    async with world.dispatching():
        await arrived(receiver, 2)
        rows: list[Any] = await settled(world, "SUPPRESSED", "DELIVERED", "DELIVERED")

    assert [(row.gated, row.configuration_version, 1 + len(row.more_event_ids)) for row in rows] == [
        (True, 1, 2),
        (False, None, 1),
        (True, 2, 2),
    ]


async def test_events_are_packed_once_when_told_twice(world: World) -> None:
    await world.subscribed("http://127.0.0.1:9/hook", max_package_size=10)
    told = orders(world, await world.an_account(), 2)
    await world.happened(*told, told[0].again())
    await world.happened(told[1].again())

    (row,) = await world.deliveries()
    assert [row.event_id, *row.more_event_ids] == ids(told)


async def test_without_a_package_size_every_event_has_a_body_of_its_own(world: World) -> None:
    await world.subscribed("http://127.0.0.1:9/hook")
    await world.happened(*orders(world, await world.an_account(), 3))

    assert len(await world.deliveries()) == 3
