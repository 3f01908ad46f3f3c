"""A circuit for each endpoint: closed, open, half-open with one probe, the same for all dispatchers."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import CircuitRule
from services.webhook_dispatcher.storage import Capacity
from tests.conftest import eventually

from .receiver import Receiver, status
from .test_delivery import arrived
from .world import World

ROOM = Capacity(free=100, per_endpoint=100, busy={})
LONG = CircuitRule(failures=3, open_seconds=60.0)
SHORT = CircuitRule(failures=3, open_seconds=0.2, longest=1.0)


async def circuit(world: World, subscription_id: UUID) -> Any:
    (row,) = await world.rows(
        "SELECT *, extract(epoch FROM open_until - now()) AS seconds FROM endpoints WHERE subscription_id = :s",
        s=subscription_id,
    )
    return row


async def half_open(world: World, subscription_id: UUID) -> None:
    await world.rows(
        "UPDATE endpoints SET open_until = now() - interval '1 second' WHERE subscription_id = :s RETURNING 1",
        s=subscription_id,
    )


async def opened(world: World, receiver: Receiver, rule: CircuitRule = LONG) -> UUID:
    """A subscription with much to be sent, whose circuit has opened."""
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 3)
    receiver.answers.extend([status(500)] * 3)
    async with world.dispatching(circuit=rule, schedule=[60.0] * 3):
        await eventually(lambda: is_open(world, subscribed.id))
    return subscribed.id


async def is_open(world: World, subscription_id: UUID) -> bool:
    return (await circuit(world, subscription_id)).open_until is not None


async def test_failures_in_a_row_open_the_circuit_for_all_dispatchers(world: World, receiver: Receiver) -> None:
    subscription_id = await opened(world, receiver)
    await world.waiting_for(subscription_id, 20)
    async with world.dispatching(), world.dispatching():
        assert await use_cases.claim_due(world.database, ROOM, 30.0, [subscription_id]) == []
        assert subscription_id not in (await world.looked()).due

    now = await circuit(world, subscription_id)
    assert (now.failures, now.opened) == (3, 1)
    assert 40 < now.seconds < 76
    assert len(receiver.sent) == 3
    assert sum(row.attempts for row in await world.deliveries()) == 3, "what waits behind it has not failed"


async def test_one_that_is_delivered_in_between_keeps_it_closed(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    answers = [status(500), status(500), status(200), status(500), status(500), status(200)]
    receiver.answers.extend(answers)
    async with world.dispatching(circuit=LONG, schedule=[60.0] * 3):
        for n in range(len(answers)):
            await world.waiting_for(subscribed.id, 1)
            await eventually(partial(recorded, world, n + 1))

    assert (await circuit(world, subscribed.id)).open_until is None


async def recorded(world: World, attempts: int) -> bool:
    return len(await world.attempts()) >= attempts


async def test_a_half_open_circuit_lets_one_probe_through_whoever_asks(world: World, receiver: Receiver) -> None:
    subscription_id = await opened(world, receiver)
    await world.waiting_for(subscription_id, 20)
    await half_open(world, subscription_id)
    asked = [use_cases.claim_due(world.database, ROOM, 30.0, [subscription_id]) for _ in range(8)]
    claimed = [each for answer in await asyncio.gather(*asked) for each in answer]

    assert len(claimed) == 1
    assert not claimed[0].quick


async def test_a_probe_that_fails_opens_it_again_for_longer(world: World, receiver: Receiver) -> None:
    subscription_id = await opened(world, receiver)
    await world.waiting_for(subscription_id, 1)
    await half_open(world, subscription_id)
    receiver.answers.append(status(500))
    async with world.dispatching(circuit=LONG, schedule=[60.0]):
        await arrived(receiver, 4)
        await eventually(lambda: opened_twice(world, subscription_id))

    now = await circuit(world, subscription_id)
    assert 80 < now.seconds < 151
    assert now.probe_until is None


async def opened_twice(world: World, subscription_id: UUID) -> bool:
    return bool((await circuit(world, subscription_id)).opened == 2)


async def test_a_probe_that_arrives_closes_it_and_everything_flows(world: World, receiver: Receiver) -> None:
    subscription_id = await opened(world, receiver, SHORT)
    await world.waiting_for(subscription_id, 30)
    async with world.dispatching(circuit=SHORT):
        await arrived(receiver, 33)
        await eventually(lambda: is_closed(world, subscription_id))

    now = await circuit(world, subscription_id)
    assert (now.failures, now.opened, now.failing_since) == (0, 0, None)


async def is_closed(world: World, subscription_id: UUID) -> bool:
    return not await is_open(world, subscription_id)


async def test_the_open_time_is_bounded(world: World, receiver: Receiver) -> None:
    subscription_id = await opened(world, receiver)
    await world.rows("UPDATE endpoints SET opened = 400 WHERE subscription_id = :s RETURNING 1", s=subscription_id)
    await world.waiting_for(subscription_id, 1)
    await half_open(world, subscription_id)
    receiver.answers.append(status(500))
    async with world.dispatching(circuit=CircuitRule(3, 60.0, longest=100.0), schedule=[60.0]):

        async def open_again() -> bool:
            return bool((await circuit(world, subscription_id)).opened == 401)

        await eventually(open_again)
    assert 60 < (await circuit(world, subscription_id)).seconds < 126


async def test_a_probe_that_was_not_made_is_the_next_ones_to_make(world: World, receiver: Receiver) -> None:
    subscription_id = await opened(world, receiver)
    await world.waiting_for(subscription_id, 1)
    await half_open(world, subscription_id)
    claimed = await use_cases.claim_due(world.database, ROOM, 30.0, [subscription_id])
    assert await use_cases.claim_due(world.database, ROOM, 30.0, [subscription_id]) == []
    await use_cases.give_back(world.database, claimed)

    assert len(await use_cases.claim_due(world.database, ROOM, 30.0, [subscription_id])) == 1
    await world.rows(
        "UPDATE endpoints SET probe_until = now() - interval '1 second' WHERE subscription_id = :s RETURNING 1",
        s=subscription_id,
    )
    await world.waiting_for(subscription_id, 1)
    assert len(await use_cases.claim_due(world.database, ROOM, 30.0, [subscription_id])) == 1, "its process has died"


async def test_what_was_under_way_when_it_opened_does_not_open_it_for_longer(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 9)
    claimed = await use_cases.claim_due(world.database, ROOM, 30.0, [subscribed.id])
    endpoints = world.endpoints()
    await endpoints.open()
    receiver.answers.extend([status(500)] * 9)
    failed = [(each, await use_cases.make_attempt(endpoints, each)) for each in claimed]
    await endpoints.close()
    for part in (failed[:3], failed[3:6], failed[6:]):
        await use_cases.record_attempts(world.database, part, [60.0], LONG)

    now = await circuit(world, subscribed.id)
    assert (now.failures, now.opened) == (9, 1)
