"""P6: what is planned reaches its subscriber, signed, at least once, or ends where a person can see it."""

import asyncio
import time
from uuid import UUID

from tests.conftest import eventually

from .receiver import Receiver, after, status
from .world import World, order_placed, rebalancing


async def test_an_event_arrives_signed_as_the_official_library_verifies(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    account_id = await world.an_account()
    told = world.told(rebalancing(account_id))
    async with world.sending():
        await world.rebalanced(told)
        await eventually(lambda: _async(receiver.sent))

    (sent,) = receiver.sent
    body = sent.verified(subscribed.secret)
    (item,) = body["payload"]
    assert item["id"] == told.envelope.id
    assert item["type"] == "REBALANCING_EXECUTION_ORDER.NEW"
    assert item["webhook_id"] == str(subscribed.id)
    assert item["object"]["account_id"] == str(account_id)
    (delivery,) = await world.deliveries()
    assert sent.message_id == f"msg_{delivery.id.hex}"
    assert (delivery.state, delivery.attempts) == ("DELIVERED", 1)


async def _async(value: object) -> object:
    return value
