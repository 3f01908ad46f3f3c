"""While its ledger portfolio is BLOCKED, an account takes no orders, and its execution orders are CANCELLED."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.order_service import use_cases
from services.order_service.domain import START_REBALANCING, AccountNotTrustworthy, PortfolioBlocked
from shared.contracts import OrderStatus
from shared.kit.received import read
from shared.kit.unit_of_work import UnitOfWork

from .world import World, a_record, account_state, configured, deleted, portfolio_state


async def _in_a_portfolio(world: World, portfolio_id: UUID, **changed: Any) -> UUID:
    """A configured account of a portfolio that is ACTIVE."""
    await world.applied(portfolio_state(portfolio_id, **changed))
    return await world.an_account(version=1, portfolio_id=portfolio_id)


async def _execution_order(world: World, account_id: UUID) -> UUID:
    execution = await world.rebalanced(account_id)
    (row,) = await world.rows("SELECT id FROM orders WHERE execution_id = :e", e=execution.id)
    found: UUID = row.id
    return found


async def test_an_account_takes_no_orders_while_its_portfolio_is_blocked_and_takes_them_again_afterwards(
    world: World,
) -> None:
    portfolio_id = uuid4()
    account_id, other_id = await _in_a_portfolio(world, portfolio_id), await world.an_account(version=1)

    await world.applied(portfolio_state(portfolio_id, revision=2, blocked=True))
    with pytest.raises(PortfolioBlocked):
        await world.an_order(account_id)
    assert (await world.an_order(other_id)).status is OrderStatus.NEW

    await world.applied(portfolio_state(portfolio_id, revision=3))
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_what_is_new_of_rebalancings_is_cancelled_when_the_portfolio_is_blocked_and_announced(
    world: World,
) -> None:
    portfolio_id = uuid4()
    account_id, started_id = await _in_a_portfolio(world, portfolio_id), uuid4()
    await world.applied(account_state(started_id, portfolio_id=portfolio_id), configured(started_id, 1))
    placed = await world.an_order(account_id)
    await _execution_order(world, account_id)
    order_id = await _execution_order(world, started_id)
    async with world.database.unit_of_work(world.cause) as work:
        await use_cases.lock_accounts(work, [started_id])
        await use_cases.move_order(work, world.cause, START_REBALANCING, order_id)
    blocking = world.sent(portfolio_state(portfolio_id, revision=2, blocked=True))

    await world.applied(blocking)

    assert await world.statuses(account_id) == [("NEW", None), ("CANCELLED", "INVALID_ACCOUNT_STATUS")]
    assert (await use_cases.show_order(world.database, world.client_id, placed.id)).status is OrderStatus.NEW
    assert await world.statuses(started_id) == [("PROCESSING", None)]
    last = (await world.announced(account_id))[-1]
    assert (last.topic, last.type) == ("rebalancings.events.v1", "RebalancingOrderCancelled")
    assert last.headers["ce_causationid"] == blocking.envelope.id
    assert last.body["cancellation_reason"] == "INVALID_ACCOUNT_STATUS"


async def test_a_blocking_told_twice_cancels_once(world: World) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id)
    await _execution_order(world, account_id)
    blocking = world.sent(portfolio_state(portfolio_id, revision=2, blocked=True))

    await world.applied(blocking, blocking)
    await world.applied(blocking)

    assert await world.types_announced(account_id) == ["RebalancingOrderCreated", "RebalancingOrderCancelled"]


async def test_a_blocking_that_is_over_when_it_is_told_of_later_changes_nothing(world: World) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id, revision=3)
    await _execution_order(world, account_id)

    await world.applied(portfolio_state(portfolio_id, revision=2, blocked=True))

    assert await world.statuses(account_id) == [("NEW", None)]
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_a_blocking_and_its_end_in_one_batch_cancel_what_they_would_have_cancelled_one_by_one(
    world: World,
) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id)
    await _execution_order(world, account_id)

    await world.applied(
        portfolio_state(portfolio_id, revision=2, blocked=True), portfolio_state(portfolio_id, revision=3)
    )

    assert await world.statuses(account_id) == [("CANCELLED", "INVALID_ACCOUNT_STATUS")]
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_a_batch_that_fails_midway_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id)
    await _execution_order(world, account_id)
    apply = use_cases.apply_states

    async def apply_and_fail(work: UnitOfWork, states: Any) -> None:
        await apply(work, states)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(use_cases, "apply_states", apply_and_fail)
        with pytest.raises(Exception, match=r"order_service\.copies"):
            await world.applied(portfolio_state(portfolio_id, revision=2, blocked=True))

    assert await world.statuses(account_id) == [("NEW", None)]
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_execution_orders_that_are_asked_for_while_the_portfolio_is_blocked_are_cancelled_at_once(
    world: World,
) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id)
    await world.applied(portfolio_state(portfolio_id, revision=2, blocked=True))

    await _execution_order(world, account_id)

    assert await world.statuses(account_id) == [("CANCELLED", "INVALID_ACCOUNT_STATUS")]


async def test_an_account_that_moves_into_a_blocked_portfolio_is_blocked_with_it_and_free_when_it_leaves(
    world: World,
) -> None:
    portfolio_id = uuid4()
    await world.applied(portfolio_state(portfolio_id, blocked=True))
    account_id = await world.an_account(version=1)
    await _execution_order(world, account_id)

    await world.applied(account_state(account_id, revision=2, portfolio_id=portfolio_id))
    assert await world.statuses(account_id) == [("CANCELLED", "INVALID_ACCOUNT_STATUS")]
    with pytest.raises(PortfolioBlocked):
        await world.an_order(account_id)

    await world.applied(account_state(account_id, revision=3, portfolio_id=None))
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_a_portfolio_and_its_account_may_come_in_one_batch_in_either_order(world: World) -> None:
    portfolio_id, account_id = uuid4(), uuid4()
    await world.applied(
        account_state(account_id, portfolio_id=portfolio_id),
        portfolio_state(portfolio_id, blocked=True),
        configured(account_id, 1),
    )
    with pytest.raises(PortfolioBlocked):
        await world.an_order(account_id)


async def test_nothing_is_decided_for_an_account_whose_portfolio_was_not_heard_of_yet(world: World) -> None:
    portfolio_id = uuid4()
    account_id = await world.an_account(version=1, portfolio_id=portfolio_id)
    with pytest.raises(AccountNotTrustworthy):
        await world.an_order(account_id)
    await world.applied(portfolio_state(portfolio_id))
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_a_deleted_portfolio_blocks_nobody(world: World) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id, blocked=True)
    gone = portfolio_state(portfolio_id, revision=2, blocked=True)
    await world.applied(gone.model_copy(update={"deleted_at": gone.updated_at}))
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_an_unreadable_event_shuts_the_accounts_of_its_portfolio_until_a_newer_one(world: World) -> None:
    portfolio_id = uuid4()
    account_id, other_id = await _in_a_portfolio(world, portfolio_id), await world.an_account(version=1)
    topic = world.service.kafka.physical("portfolios.events.v1")

    await world.copies.take([a_record(topic, str(portfolio_id).encode(), b"not json", [])], {})
    with pytest.raises(AccountNotTrustworthy):
        await world.an_order(account_id)
    assert (await world.an_order(other_id)).status is OrderStatus.NEW
    await world.applied(account_state(account_id, revision=2, portfolio_id=portfolio_id))
    with pytest.raises(AccountNotTrustworthy):
        await world.an_order(account_id)

    await world.applied(portfolio_state(portfolio_id, revision=2))
    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_a_redriven_event_that_can_be_read_by_now_opens_the_accounts_of_its_portfolio_again(
    world: World,
) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id)
    topic = world.service.kafka.physical("portfolios.events.v1")
    lost = a_record(topic, str(portfolio_id).encode(), b"not json", [])
    await world.copies.take([lost], {})
    state = world.sent(portfolio_state(portfolio_id)).record
    parked = [
        ("parked-topic", b"portfolios.events.v1"),
        ("parked-partition", str(lost.partition).encode()),
        ("parked-offset", str(lost.offset).encode()),
    ]

    redriven = world.service.kafka.physical("order_service.copies.redrive.v1")
    await world.copies.take([a_record(redriven, state.key, state.value, [*state.headers, *parked])], {})

    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_deletions_go_on_in_a_blocked_portfolio(world: World) -> None:
    portfolio_id = uuid4()
    account_id = await _in_a_portfolio(world, portfolio_id)
    await world.an_order(account_id)
    await world.applied(portfolio_state(portfolio_id, revision=2, blocked=True), deleted(account_id, 1))
    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")]


async def test_a_portfolio_that_an_account_is_moving_into_cannot_be_blocked_meanwhile_but_others_may_move_too(
    world: World,
) -> None:
    portfolio_id, account_id = uuid4(), await world.an_account()
    moving = world.sent(account_state(account_id, revision=2, portfolio_id=portfolio_id))
    states: Any = [read(world.incoming(moving), moving.record.topic, keeps_copies=True)]
    free = "SELECT portfolio_id FROM portfolios WHERE portfolio_id = :p {} SKIP LOCKED"
    async with world.database.unit_of_work() as holding:
        await use_cases.hold_what_is_told_of(holding, states)
        await world.applied(portfolio_state(uuid4()))
        assert await world.rows(free.format("FOR NO KEY UPDATE"), p=portfolio_id) == []
    await world.applied(portfolio_state(portfolio_id))
    async with world.database.unit_of_work() as holding:
        await use_cases.hold_what_is_told_of(holding, states)
        assert await world.rows(free.format("FOR NO KEY UPDATE"), p=portfolio_id) == []
        assert len(await world.rows(free.format("FOR SHARE"), p=portfolio_id)) == 1


async def test_rebalancings_moves_and_blockings_at_the_same_time_leave_no_execution_order_new(world: World) -> None:
    portfolio_id = uuid4()
    await world.applied(portfolio_state(portfolio_id))
    inside = [await world.an_account(version=1, portfolio_id=portfolio_id) for _ in range(6)]
    outside = [await world.an_account(version=1) for _ in range(6)]

    async def moves() -> None:
        for account_id in outside:
            await world.applied(account_state(account_id, revision=2, portfolio_id=portfolio_id))

    async def blocking() -> None:
        await asyncio.sleep(0.02)
        await world.applied(portfolio_state(portfolio_id, revision=2, blocked=True))

    async def rebalancings(accounts: list[UUID]) -> None:
        for _ in range(4):
            await world.rebalanced(*accounts)

    await asyncio.gather(moves(), blocking(), rebalancings(inside + outside), rebalancings((inside + outside)[::-1]))

    found = await world.rows(
        "SELECT status, cancellation_reason FROM orders WHERE account_id = ANY(CAST(:a AS uuid[]))", a=inside + outside
    )
    assert {(row.status, row.cancellation_reason) for row in found} == {("CANCELLED", "INVALID_ACCOUNT_STATUS")}
    assert len(found) == 12 * 8
