"""What waits for a subscription that is gone or switched off ends, however much it is, in bounded transactions."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from services.webhook_dispatcher import storage, use_cases
from services.webhook_dispatcher.storage import Capacity
from services.webhook_dispatcher.use_cases import EndpointChange, SubscriptionRules
from shared.kit.cause import Cause
from tests.unit.webhook_dispatcher.messages import client_revoked

from .world import World

NOWHERE = "http://127.0.0.1:9/hook"


async def switched_off(world: World, subscription_id: UUID) -> None:
    async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as work:
        rules, off = SubscriptionRules(world.rule, world.box), EndpointChange({"enabled": False})
        await use_cases.change_subscription(work, subscription_id, off, rules)


async def deleted(world: World, subscription_id: UUID) -> None:
    await world.unsubscribed(subscription_id)


async def revoked(world: World, _: UUID) -> None:
    await world.applied(client_revoked(world.client_id))


@pytest.mark.parametrize(
    ("ended_by", "ended"),
    [
        (switched_off, ("FAILED", "SUBSCRIPTION_DISABLED")),
        (deleted, ("DISCARDED", "SUBSCRIPTION_DELETED")),
        (revoked, ("DISCARDED", "CLIENT_REVOKED")),
    ],
)
async def test_much_that_waits_is_ended_bit_by_bit_and_none_of_it_is_sent_meanwhile(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    ended_by: Callable[[World, UUID], Awaitable[None]],
    ended: tuple[str, str],
) -> None:
    subscribed = await world.subscribed(NOWHERE)
    await world.waiting_for(subscribed.id, 40)
    claimed = await use_cases.claim_due(world.database, Capacity(3, 3, {}), 0.0, [subscribed.id])
    for module in (storage, storage.deliveries):
        monkeypatch.setattr(module, "ENDED_AT_ONCE", 10)
    await ended_by(world, subscribed.id)
    states = await world.states()
    assert states.count(ended) == 10
    assert states.count(("WAITING", None)) == 40 - 10 - len(claimed)
    assert await use_cases.claim_due(world.database, Capacity(9, 9, {}), 0.0, [subscribed.id]) == []

    await use_cases.release_lost(world.database)
    await use_cases.disable_failing(world.database, timedelta(days=5))
    assert set(await world.states()) == {ended}


async def test_little_that_waits_is_ended_with_its_subscription_and_leaves_the_job_nothing(world: World) -> None:
    subscribed = await world.subscribed(NOWHERE)
    await world.waiting_for(subscribed.id, 40)
    await deleted(world, subscribed.id)

    assert set(await world.states()) == {("DISCARDED", "SUBSCRIPTION_DELETED")}
    (endpoint,) = await world.rows("SELECT given_up_at FROM endpoints WHERE subscription_id = :id", id=subscribed.id)
    assert endpoint.given_up_at is None
