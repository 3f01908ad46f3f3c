"""A subscription's rate limit holds for all dispatchers together."""

import asyncio
import time
from collections import deque
from uuid import UUID

import pytest

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Capacity
from tests.conftest import eventually

from .receiver import Receiver
from .test_delivery import arrived
from .world import World

ROOM = Capacity(free=1000, per_endpoint=1000, busy={})


async def claimed_for(world: World, subscription_id: UUID, seconds: float) -> list[float]:
    """When two dispatchers that claim whenever they can have claimed a delivery, for so long."""
    moments: list[float] = []
    until = time.monotonic() + seconds

    async def dispatcher() -> None:
        while time.monotonic() < until:
            claimed = await use_cases.claim_due(world.database, ROOM, 60.0, [subscription_id])
            moments.extend([time.monotonic()] * len(claimed))
            await asyncio.sleep(0.02)

    await asyncio.gather(dispatcher(), dispatcher())
    return sorted(moments)


@pytest.mark.parametrize("rate", [20, 100])
async def test_the_rate_is_kept_within_five_in_a_hundred_over_ten_seconds(world: World, rate: int) -> None:
    subscribed = await world.subscribed("http://127.0.0.1:9/hook", rate_limit=rate)
    await world.waiting_for(subscribed.id, rate * 15)
    moments = await claimed_for(world, subscribed.id, 11.0)

    window: deque[float] = deque()
    most = 0
    for moment in moments:
        window.append(moment)
        while window[0] <= moment - 10.0:
            window.popleft()
        most = max(most, len(window))
    assert rate * 9.5 <= most <= rate * 10.5


async def test_a_subscription_at_its_limit_is_not_even_looked_at(world: World) -> None:
    subscribed = await world.subscribed("http://127.0.0.1:9/hook", rate_limit=1)
    await world.waiting_for(subscribed.id, 10)
    assert subscribed.id in (await world.looked()).due
    assert len(await use_cases.claim_due(world.database, ROOM, 60.0, [subscribed.id])) == 1

    assert subscribed.id not in (await world.looked()).due
    assert await use_cases.claim_due(world.database, ROOM, 60.0, [subscribed.id]) == []


async def test_what_waits_for_its_rate_arrives_and_nothing_of_it_has_failed(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url, rate_limit=20)
    await world.waiting_for(subscribed.id, 30)
    began = time.monotonic()
    async with world.dispatching(), world.dispatching():
        await arrived(receiver, 30)
        assert time.monotonic() - began > 1.0

        async def recorded() -> bool:
            return [row.attempts for row in await world.deliveries() if row.state == "DELIVERED"] == [1] * 30

        await eventually(recorded)
