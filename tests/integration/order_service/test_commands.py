"""Upstream's commands: done or refused, answered once, and never on a copy that lags behind."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.order_service import use_cases
from services.order_service.domain import Order
from services.order_service.storage import accounts
from shared.contracts import (
    AccountStatus,
    AccountType,
    CancelOrder,
    CancelRebalancingOrder,
    Command,
    FillOrder,
    FillRebalancingOrder,
    OrderSide,
    PlaceOrder,
    RebalancingCancellationReason,
    RejectOrder,
    RequestRebalancing,
    SettleOrder,
    StartOrderProcessing,
    StartRebalancingOrder,
)
from shared.kit.unit_of_work import UnitOfWork

from .world import Announced, World, a_record, account_state, configured, deleted


def _place(account_id: UUID, **changed: Any) -> PlaceOrder:
    told: dict[str, Any] = {
        "user_id": uuid4(),
        "cash_amount": Decimal("100.00"),
        "currency": "EUR",
        "side": OrderSide.BUY,
    }
    return PlaceOrder(account_id=account_id, **{**told, **changed})


def _about(kind: type[Any], order: Order, **changed: Any) -> Command:
    command: Command = kind(account_id=order.account_id, order_id=order.id, **changed)
    return command


def _status(reply: Announced) -> int:
    status: int = reply.body["problem"]["status"] if reply.type == "CommandRejected" else 200
    return status


async def _an_execution_order(world: World, account_id: UUID) -> Order:
    (reply,) = await world.commanded(RequestRebalancing(execution_id=uuid4(), accounts=(account_id,)))
    await world.worked()
    (row,) = await world.rows("SELECT id FROM orders WHERE execution_id = :e", e=UUID(reply.body["resource"]["id"]))
    return await use_cases.show_order(world.database, world.client_id, row.id)


async def test_a_command_places_an_order_under_the_present_configuration(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.applied(deleted(account_id, 1), configured(account_id, 2))

    (reply,) = await world.commanded(_place(account_id, client_reference="plan"))

    assert reply.type == "CommandAccepted"
    assert reply.key == str(account_id)
    shown = reply.body["resource"]
    assert (shown["status"], shown["configuration_version"], shown["cash_amount"]) == ("NEW", 2, "100.00")
    (placed,) = await world.announced(account_id)
    assert placed.type == "OrderPlaced"
    assert placed.body == {name: shown[name] for name in placed.body}
    assert placed.headers["ce_causationid"] == reply.body["command_id"]


async def test_a_command_told_twice_is_done_once_and_answered_alike(world: World) -> None:
    account_id = await world.an_account(version=1)
    command = world.sent(_place(account_id))

    first = await world.commanded(command, command)
    later = await world.commanded(command)

    assert await world.statuses(account_id) == [("NEW", None)]
    assert [each.body for each in later] == [first[0].body] * 3
    assert await world.types_announced(account_id) == ["OrderPlaced"]


async def test_what_is_no_command_of_these_topics_does_nothing_and_is_parked(world: World) -> None:
    account_id = await world.an_account(version=1)
    record = world.sent(_place(account_id)).record
    headers = [(name, b"PlaceSomethingElse" if name == "ce_type" else value) for name, value in record.headers]
    topic = world.service.kafka.physical(record.topic)

    await world.commands.take([a_record(topic, record.key, record.value, headers)], {})

    assert await world.statuses(account_id) == []
    assert world.commands.parking.counts == {"unknown_type": 1}


async def test_a_batch_that_fails_midway_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await world.an_account(version=1)
    order = await world.an_order(account_id)
    command = world.sent(_about(StartOrderProcessing, order))
    move = use_cases.move_order

    async def move_and_fail(work: UnitOfWork, *arguments: Any, **named: Any) -> Order:
        await move(work, *arguments, **named)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(use_cases, "move_order", move_and_fail)
        with pytest.raises(Exception, match=r"order_service\.commands"):
            await world.commanded(_place(account_id), command)
    assert await world.statuses(account_id) == [("NEW", None)]

    (reply,) = await world.commanded(command)
    assert reply.type == "CommandAccepted"
    assert await world.statuses(account_id) == [("PROCESSING", None)]


async def test_an_order_goes_its_way_by_execution_reports_each_announced_and_timed(world: World) -> None:
    order = await world.an_order(await world.an_account(version=1))

    replies = await world.commanded(
        _about(StartOrderProcessing, order), _about(FillOrder, order), _about(SettleOrder, order)
    )

    assert [each.body["resource"]["status"] for each in replies] == ["PROCESSING", "FILLED", "SETTLED"]
    types = ["OrderPlaced", "OrderProcessingStarted", "OrderFilled", "OrderSettled"]
    assert await world.types_announced(order.account_id) == types
    settled = await use_cases.show_order(world.database, world.client_id, order.id)
    assert settled.processing_at
    assert settled.filled_at
    assert settled.settled_at
    assert order.created_at <= settled.processing_at <= settled.filled_at <= settled.settled_at == settled.updated_at


@pytest.mark.parametrize("started", [False, True])
async def test_upstream_may_reject_an_order_before_and_while_it_works_on_it(world: World, *, started: bool) -> None:
    order = await world.an_order(await world.an_account(version=1))
    await world.commanded(*([_about(StartOrderProcessing, order)] if started else []), _about(RejectOrder, order))
    assert await world.statuses(order.account_id) == [("CANCELLED", "REJECTED_BY_UPSTREAM")]


async def test_a_wrong_transition_is_refused_and_names_the_present_status(world: World) -> None:
    order = await world.an_order(await world.an_account(version=1))

    early, _, late = await world.commanded(
        _about(FillOrder, order), _about(StartOrderProcessing, order), _about(CancelOrder, order)
    )

    assert (_status(early), _status(late)) == (409, 409)
    assert "NEW" in early.body["problem"]["detail"]
    assert "PROCESSING" in late.body["problem"]["detail"]
    assert await world.statuses(order.account_id) == [("PROCESSING", None)]


async def test_an_order_is_not_found_by_another_client_another_account_or_the_other_kind_of_command(
    world: World,
) -> None:
    order = await world.an_order(await world.an_account(version=1))
    foreign = world.sent(_about(CancelOrder, order), client_id=uuid4())
    elsewhere = CancelOrder(account_id=await world.an_account(version=1), order_id=order.id)

    replies = await world.commanded(foreign, elsewhere, _about(FillRebalancingOrder, order))

    assert [_status(reply) for reply in replies] == [404, 404, 404]
    assert await world.statuses(order.account_id) == [("NEW", None)]


@pytest.mark.parametrize(
    ("changed", "version", "status"),
    [
        ({"type": AccountType.TRADING}, 0, 422),
        ({"status": AccountStatus.LOCKED}, 1, 422),
        ({}, 0, 422),
    ],
)
async def test_orders_are_refused_where_the_account_cannot_take_them(
    world: World, changed: dict[str, Any], version: int, status: int
) -> None:
    account_id = await world.an_account(version=version, **changed)
    (reply,) = await world.commanded(_place(account_id))
    assert _status(reply) == status
    assert await world.statuses(account_id) == []


async def test_orders_are_refused_for_unknown_and_foreign_accounts_alike(world: World) -> None:
    foreign = world.sent(_place(await world.an_account(version=1)), client_id=uuid4())
    unknown = world.sent(_place(uuid4()))
    replies = await world.commanded(foreign, unknown)
    assert [_status(reply) for reply in replies] == [404, 404]
    assert replies[0].body["problem"]["detail"] == replies[1].body["problem"]["detail"]


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"cash_amount": Decimal("0.00")}, 400, "body.cash_amount"),
        ({"cash_amount": Decimal("-1.00")}, 400, "body.cash_amount"),
        ({"cash_amount": Decimal("1.001")}, 422, "body.cash_amount"),
        ({"cash_amount": Decimal("1.5"), "currency": "JPY"}, 422, "body.cash_amount"),
        ({"currency": "XXX"}, 400, "body.currency"),
    ],
)
async def test_amounts_that_cannot_be_paid_are_refused_and_name_the_field(
    world: World, changed: dict[str, Any], status: int, field: str
) -> None:
    account_id = await world.an_account(version=1)
    (reply,) = await world.commanded(_place(account_id, **changed))
    assert _status(reply) == status
    assert [error["location"] for error in reply.body["problem"]["errors"]] == [field]


async def test_a_command_with_an_unknown_field_is_answered_and_does_nothing(world: World) -> None:
    account_id = await world.an_account(version=1)
    sent = world.sent(_place(account_id))
    value = sent.record.value.replace(b'"side"', b'"sides":1,"side"')
    topic = world.service.kafka.physical(sent.record.topic)

    await world.commands.take([a_record(topic, sent.record.key, value, sent.record.headers)], {})

    (reply,) = [each for each in await world.announced() if each.key == str(account_id)]
    assert _status(reply) == 400
    assert await world.statuses(account_id) == []


async def test_an_older_configuration_version_is_refused_and_the_present_one_is_taken(world: World) -> None:
    account_id = await world.an_account(version=2)
    replies = await world.commanded(
        _place(account_id, configuration_version=1), _place(account_id, configuration_version=2)
    )
    assert [_status(reply) for reply in replies] == [409, 200]


async def test_a_configuration_version_that_is_heard_of_meanwhile_is_waited_for(world: World) -> None:
    account_id = await world.an_account(version=1)
    command = asyncio.create_task(world.commanded(_place(account_id, configuration_version=2)))
    await asyncio.sleep(0.05)
    assert not command.done()

    await world.applied(deleted(account_id, 1), configured(account_id, 2))

    (reply,) = await command
    assert reply.body["resource"]["configuration_version"] == 2


async def test_a_named_version_is_waited_for_until_its_account_is_heard_of_too(world: World) -> None:
    """What is told of the two stands on two topics, and may be taken up in either order."""
    account_id = uuid4()

    async def is_heard_of() -> bool:
        async with world.database.reading() as connection:
            return await accounts.known(connection, {account_id: 1})

    await world.applied(configured(account_id, 1))
    assert not await is_heard_of()
    await world.applied(account_state(account_id))
    assert await is_heard_of()


async def test_a_configuration_version_that_nobody_hears_of_is_refused(world: World) -> None:
    (reply,) = await world.commanded(_place(await world.an_account(version=1), configuration_version=9))
    assert _status(reply) == 409


async def test_a_rebalancing_makes_one_order_for_each_account_with_the_reason_where_it_cannot_be_done(
    world: World,
) -> None:
    stranger = World(world.service)
    fine, bare = await world.an_account(version=1), await world.an_account()
    trading = await world.an_account(type=AccountType.TRADING)
    closed = await world.an_account(version=1, status=AccountStatus.CLOSED)
    foreign, unknown = await stranger.an_account(version=1), uuid4()
    execution_id = uuid4()

    (reply,) = await world.commanded(
        RequestRebalancing(
            execution_id=execution_id,
            accounts=(
                fine,
                bare,
                trading,
                closed,
                foreign,
                unknown,
                fine,
            ),
        )
    )

    assert reply.body["resource"]["id"] == str(execution_id) == reply.key
    await world.worked()
    assert await world.statuses(fine) == [("NEW", None)]
    assert await world.statuses(bare) == [("CANCELLED", "CONFIGURATION_IS_MISSING")]
    assert await world.statuses(trading) == [("CANCELLED", "INVALID_ACCOUNT_TYPE")]
    assert await world.statuses(closed) == [("CANCELLED", "INVALID_ACCOUNT_STATUS")]
    assert await world.statuses(foreign) == [("CANCELLED", "ACCOUNT_NOT_FOUND")]
    assert await world.statuses(unknown) == [("CANCELLED", "ACCOUNT_NOT_FOUND")]
    assert await world.types_announced(fine) == ["RebalancingOrderCreated"]
    assert await world.types_announced(closed) == ["RebalancingOrderCancelled"]
    # An event under the key of an account that is not the client's would tell its owner of it.
    assert await world.types_announced(foreign) == await world.types_announced(unknown) == []
    (created,) = await world.announced(fine)
    assert created.headers["ce_causationid"] == reply.body["command_id"]
    assert created.body["execution_id"] == str(execution_id)


async def test_a_rebalancing_of_allocations_reaches_the_clients_accounts_that_are_configured_with_them(
    world: World,
) -> None:
    allocation_id, stranger = uuid4(), World(world.service)
    mine, gone = await world.an_account(), await world.an_account()
    foreign = await stranger.an_account()
    await world.applied(configured(mine, 1, allocation_id=allocation_id), deleted(gone, 1, allocation_id=allocation_id))
    await stranger.applied(configured(foreign, 1, allocation_id=allocation_id))

    await world.commanded(
        RequestRebalancing(
            execution_id=uuid4(),
            allocations=(
                allocation_id,
                uuid4(),
            ),
        )
    )

    await world.worked()
    assert await world.statuses(mine) == [("NEW", None)]
    assert await world.statuses(gone) == await world.statuses(foreign) == []


async def test_a_rebalancing_without_an_id_of_its_own_is_answered_under_the_key_that_it_came_with(world: World) -> None:
    account_id, key = await world.an_account(version=1), str(uuid4())
    (reply,) = await world.commanded(world.sent(RequestRebalancing(accounts=(account_id,)), key=key))
    assert reply.key == key
    await world.worked()
    assert await world.statuses(account_id) == [("NEW", None)]


async def test_an_execution_id_is_taken_once_for_each_client(world: World) -> None:
    stranger, execution_id = World(world.service), uuid4()
    request = RequestRebalancing(execution_id=execution_id, accounts=(await world.an_account(version=1),))
    replies = [*await world.commanded(request), *await world.commanded(request), *await stranger.commanded(request)]
    assert [_status(reply) for reply in replies] == [200, 409, 200]


async def test_execution_orders_are_moved_by_their_own_commands(world: World) -> None:
    account_id = await world.an_account(version=1)
    filled, cancelled = await _an_execution_order(world, account_id), await _an_execution_order(world, account_id)
    balanced = RebalancingCancellationReason.PORTFOLIO_IS_BALANCED

    replies = await world.commanded(
        _about(StartRebalancingOrder, filled),
        _about(FillRebalancingOrder, filled),
        _about(StartRebalancingOrder, cancelled),
        _about(CancelRebalancingOrder, cancelled, reason=balanced),
        _about(StartOrderProcessing, filled),
    )

    assert [_status(reply) for reply in replies] == [200, 200, 200, 200, 404]
    assert await world.statuses(account_id) == [("FILLED", None), ("CANCELLED", "PORTFOLIO_IS_BALANCED")]
    assert (await world.announced(account_id))[-1].topic == "rebalancings.events.v1"


async def test_orders_and_deletions_at_the_same_time_leave_no_order_of_a_deleted_version_new(world: World) -> None:
    accounts = [await world.an_account(version=1) for _ in range(8)]

    async def deletions() -> None:
        for account_id in accounts:
            await world.applied(deleted(account_id, 1))

    async def placements(order_of_accounts: Sequence[UUID]) -> None:
        for account_id in order_of_accounts:
            await world.commanded(_place(account_id), _place(account_id))
            await world.commanded(RequestRebalancing(execution_id=uuid4(), accounts=tuple(accounts)))
            await world.worked()

    await asyncio.gather(deletions(), placements(accounts), placements(accounts[::-1]))

    new = await world.rows(
        "SELECT 1 FROM orders WHERE status = 'NEW' AND account_id = ANY(CAST(:a AS uuid[]))", a=accounts
    )
    assert new == []
