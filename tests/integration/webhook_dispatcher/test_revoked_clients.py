"""A revoked client gets no webhooks any more, from the moment in which its revocation is applied."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Capacity
from shared.kit.cause import Cause
from shared.kit.consuming import NotNowError
from shared.kit.unit_of_work import UnitOfWork
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import client_changed, client_revoked, order_placed, rebalancing

from .receiver import Receiver, after, status
from .test_delivery import arrived, settled
from .world import World

NOWHERE = "http://127.0.0.1:9/hook"
ROOM = Capacity(free=100, per_endpoint=100, busy={})
DISCARDED = ("DISCARDED", "CLIENT_REVOKED")


async def subscription(world: World, subscription_id: UUID) -> Any:
    (found,) = await world.rows("SELECT * FROM subscriptions WHERE id = :id", id=subscription_id)
    return found


async def told_to_ops(world: World, subscription_id: UUID) -> list[Any]:
    return list(await world.rows("SELECT * FROM outbox WHERE key = :key", key=str(subscription_id)))


async def test_a_revocation_discards_what_waits_and_switches_the_subscriptions_off_with_the_reason(
    world: World,
) -> None:
    subscribed = await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.happened(order_placed(account_id))
    await world.rebalanced(rebalancing(account_id))
    await world.applied(client_revoked(world.client_id))

    assert await world.states() == [DISCARDED, DISCARDED]
    shown = await subscription(world, subscribed.id)
    assert (shown.enabled, shown.disabled_reason) == (False, "the client's access was revoked")
    assert len(await told_to_ops(world, subscribed.id)) == 1


async def test_nothing_is_planned_for_a_revoked_client_whichever_kind_of_event(world: World) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.applied(client_revoked(world.client_id))
    # Switched on again behind the dispatcher's back: the client alone decides now.
    await world.rows("UPDATE subscriptions SET enabled = true WHERE client_id = :c RETURNING id", c=world.client_id)
    await world.happened(order_placed(account_id))
    await world.rebalanced(rebalancing(account_id))

    assert await world.states() == []


async def test_the_claim_gives_no_delivery_of_a_revoked_client(world: World) -> None:
    await world.subscribed(NOWHERE)
    await world.happened(order_placed(await world.an_account()))
    await world.applied(client_revoked(world.client_id))
    for table, change in (("subscriptions", "enabled = true"), ("deliveries", "state = 'WAITING', reason = NULL")):
        await world.rows(f"UPDATE {table} SET {change} WHERE client_id = :c RETURNING id", c=world.client_id)

    claimed = await use_cases.claim_due(world.database, ROOM, 30.0)
    assert world.client_id not in {each.client_id for each in claimed}


async def test_a_token_that_is_still_good_subscribes_nothing_more(world: World) -> None:
    await world.applied(client_revoked(world.client_id))
    with pytest.raises(use_cases.ClientRevoked) as refused:
        await world.subscribed(NOWHERE)
    assert refused.value.status == 403


async def test_a_delivery_under_way_is_not_tried_again(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    release = asyncio.Event()
    receiver.answers.append(after(release, status(500)))
    async with world.sending():
        await arrived(receiver, 1)
        await world.applied(client_revoked(world.client_id))
        release.set()
        (delivery,) = await settled(world, "DISCARDED")

    assert delivery.reason == "CLIENT_REVOKED"
    assert len(receiver.sent) == 1


async def test_a_revocation_told_twice_has_the_effect_of_one(world: World) -> None:
    subscribed = await world.subscribed(NOWHERE)
    told = world.told(client_revoked(world.client_id))
    await world.applied(told, told.again())
    await world.applied(told.again())

    assert len(await told_to_ops(world, subscribed.id)) == 1


async def test_what_comes_late_does_not_take_a_revocation_back(world: World) -> None:
    await world.applied(client_revoked(world.client_id, revision=3))
    await world.applied(client_changed(world.client_id, revision=2))
    await world.applied(client_changed(world.client_id, revision=4))

    (copy,) = await world.rows("SELECT * FROM clients WHERE client_id = :c", c=world.client_id)
    assert copy.revoked


async def test_another_change_and_another_clients_revocation_stop_nothing(world: World) -> None:
    subscribed = await world.subscribed(NOWHERE)
    await world.happened(order_placed(await world.an_account()))
    another = world.another_client()
    await world.applied(client_changed(world.client_id), world.told(client_revoked(another), client_id=another))

    assert await world.states() == [("WAITING", None)]
    assert (await subscription(world, subscribed.id)).enabled


async def test_a_revocation_that_fails_midway_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed = await world.subscribed(NOWHERE)
    await world.happened(order_placed(await world.an_account()))
    with monkeypatch.context() as broken:
        broken.setattr(UnitOfWork, "flush", _fails)
        broken.setattr(world.copies.subscriber, "patience", 1)
        with pytest.raises(NotNowError):
            await world.applied(client_revoked(world.client_id))

    assert await world.states() == [("WAITING", None)]
    assert (await subscription(world, subscribed.id)).enabled
    (copy,) = await world.rows("SELECT * FROM clients WHERE client_id = :c", c=world.client_id)
    assert not copy.revoked


async def _fails(_: UnitOfWork) -> set[int]:
    raise ArithmeticError


async def test_what_is_planned_while_the_revocation_comes_is_discarded_with_the_rest(world: World) -> None:
    await world.subscribed(NOWHERE)
    happening = world.happening(order_placed(await world.an_account()))
    async with world.database.unit_of_work() as planning:
        await use_cases.plan_deliveries(planning, [happening])
        revoking = asyncio.create_task(world.applied(client_revoked(world.client_id)))
        await eventually(lambda: waits_for_a_lock(world))
    await revoking

    assert await world.states() == [DISCARDED]


async def test_what_is_subscribed_while_the_revocation_comes_is_switched_off_with_the_rest(world: World) -> None:
    async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as subscribing:
        endpoint = use_cases.NewEndpoint("a test", NOWHERE, ["ALL"], [], enabled=True)
        row, _ = await use_cases.subscribe(subscribing, endpoint, use_cases.SubscriptionRules(world.rule, world.box))
        revoking = asyncio.create_task(world.applied(client_revoked(world.client_id)))
        await eventually(lambda: waits_for_a_lock(world))
    await revoking

    assert not (await subscription(world, row.id)).enabled


async def waits_for_a_lock(world: World) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await world.rows(waiting))
