"""Commands that are refused are refused in batches, as in config_service; the rules are those of each command's own."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts import (
    AccountStatus,
    AccountType,
    CancelOrder,
    Command,
    FillOrder,
    OrderSide,
    PlaceOrder,
    StartOrderProcessing,
    StartRebalancingOrder,
)
from tests.integration.config_service.test_floods import statements

from .world import World

#: The locks of accounts, the copies as the locks show them, the orders, the inbox with its replies, the outbox.
STATEMENTS_OF_A_BATCH = 5


def _order(account_id: UUID, **changed: Any) -> PlaceOrder:
    told = {"user_id": uuid4(), "cash_amount": Decimal(1), "currency": "EUR", "side": OrderSide.BUY, **changed}
    return PlaceOrder(account_id=account_id, **told)


@pytest.mark.parametrize(
    "command",
    [
        lambda _: _order(uuid4()),
        lambda account_id: _order(account_id, currency="XXX"),
        lambda account_id: FillOrder(account_id=account_id, order_id=uuid4()),
        lambda account_id: StartRebalancingOrder(account_id=account_id, order_id=uuid4()),
    ],
    ids=["account not found", "no such currency", "order not found", "no such execution order"],
)
async def test_a_batch_of_refused_commands_costs_the_same_few_statements_however_large_it_is(
    world: World, command: Callable[[UUID], Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    _need_not_wait(world, monkeypatch)
    account = await world.an_account(version=1)
    batch = [world.incoming(command(account)) for _ in range(300)]
    with statements(world.database) as sent:
        await world.commands.take(batch, {})
    assert len(sent) <= STATEMENTS_OF_A_BATCH, sent
    assert not [each for each in sent if each.startswith("SAVEPOINT")]


async def test_commands_on_one_order_in_one_batch_are_decided_each_on_what_the_one_before_has_left(
    world: World,
) -> None:
    account = await world.an_account(version=1)
    order = await world.an_order(account)
    named = {"account_id": account, "order_id": order.id}
    fill, start, cancel = FillOrder(**named), StartOrderProcessing(**named), CancelOrder(**named)
    replies = await world.commanded(fill, start, start, cancel, fill)
    assert [_status(reply) for reply in replies] == [409, None, 409, 409, None]


@pytest.mark.parametrize(
    ("account", "order", "status"),
    [
        ({"type": AccountType.TRADING}, {}, 422),
        ({"status": AccountStatus.LOCKED}, {}, 422),
        ({"version": 0}, {}, 422),
        ({}, {"cash_amount": Decimal(0)}, 400),
        ({}, {"cash_amount": Decimal("0.001")}, 422),
        ({"version": 2}, {"configuration_version": 1}, 409),
        ({}, {}, None),
    ],
)
async def test_what_is_foreseen_is_what_the_use_case_would_say(
    world: World,
    account: dict[str, Any],
    order: dict[str, Any],
    status: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _need_not_wait(world, monkeypatch)
    asked = _order(await world.an_account(**{"version": 1, **account}), **order)
    (reply,) = await world.commanded(asked)
    assert _status(reply) == status


def _need_not_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of these tests comes over Kafka, so there is nothing that the copies would have to catch up with."""

    async def caught_up(_: Any) -> None:
        return None

    monkeypatch.setattr(world.commands.subscriber, "before", caught_up)


def _status(reply: Any) -> int | None:
    status: int | None = (reply.body.get("problem") or {}).get("status")
    return status
