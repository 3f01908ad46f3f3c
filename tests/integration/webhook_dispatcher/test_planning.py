"""Planning: one delivery for each event and matching subscription, of the same client only (P3, P8)."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.contracts import ConfigurationChanged, PortfolioCreated, PortfolioDeleted, PortfolioUpdated
from shared.kit.unit_of_work import UnitOfWork
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import (
    account_created,
    allocation_changed,
    configured,
    deleted,
    order_placed,
    portfolio,
    rebalancing,
)

from .receiver import Receiver, status
from .test_delivery import arrived
from .world import World

NOWHERE = "http://127.0.0.1:9/hook"


class MidwayError(Exception):
    """The process fails midway."""


async def test_an_order_event_is_planned_for_every_subscription_that_wants_it(world: World) -> None:
    wanting = await world.subscribed(NOWHERE, "PORTFOLIO_ORDER")
    await world.subscribed(NOWHERE, "ACCOUNT", "REBALANCING_EXECUTION_ORDER.NEW")
    await world.subscribed(NOWHERE, "ALL", excluded=["PORTFOLIO_ORDER.NEW"])
    await world.subscribed(NOWHERE, "ALL", enabled=False)
    await world.happened(order_placed(await world.an_account()))

    (delivery,) = await world.deliveries()
    assert (delivery.subscription_id, delivery.event_type) == (wanting.id, "PORTFOLIO_ORDER.NEW")


async def test_an_order_event_is_planned_once_when_told_twice(world: World) -> None:
    await world.subscribed(NOWHERE)
    told = world.told(order_placed(await world.an_account()))
    await world.happened(told, told.again())
    await world.happened(told.again())

    assert await world.states() == [("WAITING", None)]


async def test_events_of_another_client_are_not_for_this_one(world: World) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.happened(world.told(order_placed(account_id), client_id=World.another_client()))

    assert await world.deliveries() == []


async def test_a_plan_that_fails_midway_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.subscribed(NOWHERE)
    told = world.told(order_placed(await world.an_account()))
    with monkeypatch.context() as broken:
        broken.setattr(UnitOfWork, "flush", _fails)
        broken.setattr(world.events.subscriber, "patience", 1)
        broken.setattr(world.events, "_park", _parks_nothing)
        with pytest.raises(MidwayError):
            await world.happened(told)
    assert await world.deliveries() == []

    await world.happened(told)
    assert await world.states() == [("WAITING", None)], "its inbox row was rolled back as well"


async def _fails(_: UnitOfWork) -> set[int]:
    raise MidwayError


async def _parks_nothing(*_: object, **__: object) -> None:
    """Leaves the message where it can be told again."""


async def test_state_events_are_planned_under_their_types(world: World) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.happened(account_created(account_id), configured(account_id), deleted(account_id))

    assert [row.event_type for row in await world.deliveries()] == [
        "ACCOUNT.CREATED",
        "PORTFOLIO_CONFIGURATION.CREATED",
        "PORTFOLIO_CONFIGURATION.DELETED",
    ]


async def test_portfolio_events_are_planned_under_their_types_for_their_client_and_once(world: World) -> None:
    await world.subscribed(NOWHERE)
    made = [portfolio(kind, n) for n, kind in enumerate((PortfolioCreated, PortfolioUpdated, PortfolioDeleted), 1)]
    told = [world.told(event) for event in made]
    await world.happened(*told, told[1])

    assert [row.event_type for row in await world.deliveries()] == [
        "PORTFOLIO.CREATED",
        "PORTFOLIO.UPDATED",
        "PORTFOLIO.DELETED",
    ]


async def test_a_rebuild_from_an_old_topic_sends_no_old_webhooks(world: World) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    old = world.told(configured(account_id)).again(time=datetime.now(UTC) - timedelta(days=40))
    await world.happened(old)

    assert await world.deliveries() == []


async def test_a_rebalancing_event_is_planned_under_the_configuration_found(world: World) -> None:
    await world.subscribed(NOWHERE)
    await world.rebalanced(rebalancing(await world.an_account(version=3)))

    (delivery,) = await world.deliveries()
    assert (delivery.gated, delivery.configuration_version, delivery.state) == (True, 3, "WAITING")
    assert delivery.planned_position is not None


async def test_a_rebalancing_event_is_planned_once_when_told_twice(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    told = world.told(rebalancing(await world.an_account()))
    async with world.sending():
        await world.rebalanced(told, told.again())
        await world.rebalanced(told.again())
        await arrived(receiver, 1)

    assert await world.states() == [("DELIVERED", None)]


async def test_a_plan_behind_the_gate_that_fails_midway_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.subscribed(NOWHERE)
    told = world.told(rebalancing(await world.an_account()))
    with monkeypatch.context() as broken:
        broken.setattr(UnitOfWork, "flush", _fails)
        broken.setattr(world.rebalancings.subscriber, "patience", 1)
        broken.setattr(world.rebalancings, "_park", _parks_nothing)
        with pytest.raises(MidwayError):
            await world.rebalanced(told)
    assert await world.deliveries() == []

    await world.rebalanced(told)
    assert await world.states() == [("WAITING", None)]


async def test_rebalancing_events_of_another_client_are_not_for_this_one(world: World) -> None:
    await world.subscribed(NOWHERE)
    other = World.another_client()
    account_id = await world.an_account(client_id=other)
    await world.rebalanced(world.told(rebalancing(account_id), client_id=other))

    assert await world.deliveries() == []


async def test_other_events_go_out_whether_or_not_the_account_is_configured(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url, "PORTFOLIO_ORDER")
    account_id = await world.an_account()
    receiver.answers.append(status(500))
    async with world.sending():
        await world.happened(order_placed(account_id))
        await arrived(receiver, 1)
        await world.applied(deleted(account_id))
        await arrived(receiver, 2)

        async def delivered() -> bool:
            return await world.states() == [("DELIVERED", None)]

        await eventually(delivered)


async def test_changed_configurations_and_allocations_go_out_under_their_types(world: World) -> None:
    await world.subscribed(NOWHERE, "PORTFOLIO_CONFIGURATION.CHANGED", "PORTFOLIO_ALLOCATION.CHANGED")
    account_id = await world.an_account()
    created = dict(configured(account_id))
    changed = ConfigurationChanged(**{**created, "revision": 2, "allocation_id": uuid4()})
    await world.happened(configured(account_id), changed, allocation_changed(uuid4()))

    planned = await world.deliveries()
    assert [row.event_type for row in planned] == ["PORTFOLIO_CONFIGURATION.CHANGED", "PORTFOLIO_ALLOCATION.CHANGED"]
    assert str(changed.allocation_id).encode() in planned[0].body
