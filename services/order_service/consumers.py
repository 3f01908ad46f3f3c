"""Kafka in: the copies that decisions rest on, and what upstream asks for with commands."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from pydantic import JsonValue

from shared.contracts import (
    ACCOUNTS_EVENTS,
    CONFIGURATIONS_EVENTS,
    ORDERS_COMMANDS,
    REBALANCINGS_COMMANDS,
    AccountState,
    CancelOrder,
    CancelRebalancingOrder,
    Command,
    ConfigurationState,
    FillOrder,
    FillRebalancingOrder,
    PlaceOrder,
    RejectOrder,
    RequestRebalancing,
    SettleOrder,
    StartOrderProcessing,
    StartRebalancingOrder,
)
from shared.kit.received import LostKey, Received
from shared.kit.subscriber import CommandHandler, Subscriber
from shared.kit.unit_of_work import UnitOfWork

from . import use_cases
from .domain import (
    CANCEL_BY_CLIENT,
    CANCEL_REBALANCING,
    FILL,
    FILL_REBALANCING,
    REJECT,
    SETTLE,
    START,
    START_REBALANCING,
    ExecutionResource,
    OrderResource,
    Targets,
    Transition,
    WantedOrder,
)

COPIES_GROUP = "order_service.copies"
COMMANDS_GROUP = "order_service.commands"

#: What the copies are made from, and so what the read barrier looks at.
COPIED_TOPICS = (CONFIGURATIONS_EVENTS, ACCOUNTS_EVENTS)

#: How each command moves the order that it names.
MOVES: dict[type[Command], Transition] = {
    CancelOrder: CANCEL_BY_CLIENT,
    StartOrderProcessing: START,
    FillOrder: FILL,
    SettleOrder: SETTLE,
    RejectOrder: REJECT,
    StartRebalancingOrder: START_REBALANCING,
    FillRebalancingOrder: FILL_REBALANCING,
    CancelRebalancingOrder: CANCEL_REBALANCING,
}

Resource = dict[str, JsonValue]
Batch = Sequence[Received[Any]]


def copies_subscriber() -> Subscriber:
    """The group that keeps the copy of accounts and cancels what a configuration leaves behind."""
    subscriber = Subscriber(
        COPIES_GROUP, COPIED_TOPICS, keeps_copies=True, locks=_hold_accounts, quarantine=_quarantine_accounts
    )

    # One function for both, so that a batch is one call in whatever order the two kinds come.
    @subscriber.on(AccountState, ConfigurationState)
    async def on_state(work: UnitOfWork, batch: Sequence[Received[AccountState | ConfigurationState]]) -> None:
        await use_cases.apply_states(work, batch)

    return subscriber


def commands_subscriber(copies: use_cases.Copies) -> Subscriber:
    """The group that does what upstream asks for with commands; its refusals are final, so the copies come first."""

    async def copies_caught_up(batch: Batch) -> None:
        deciding = [each.body for each in batch if isinstance(each.body, PlaceOrder | RequestRebalancing)]
        if deciding:
            await copies.caught_up(_accounts_of(deciding), _versions_named_in(deciding))

    subscriber = Subscriber(
        COMMANDS_GROUP, (ORDERS_COMMANDS, REBALANCINGS_COMMANDS), locks=_lock_accounts, before=copies_caught_up
    )
    subscriber.on_command(PlaceOrder)(_on_place_order)
    subscriber.on_command(RequestRebalancing)(_on_request_rebalancing)
    for kind, transition in MOVES.items():
        subscriber.on_command(kind)(_mover(transition))
    return subscriber


async def _on_place_order(work: UnitOfWork, received: Received[PlaceOrder]) -> Resource:
    wanted = WantedOrder(**received.body.model_dump())
    order = await use_cases.place_order(work, received.cause, wanted)
    return OrderResource.of(order).model_dump(mode="json")


async def _on_request_rebalancing(work: UnitOfWork, received: Received[RequestRebalancing]) -> Resource:
    asked = received.body
    targets = Targets(asked.accounts or (), asked.allocations or ())
    execution = await use_cases.request_rebalancing(work, received.cause, asked.execution_id or uuid4(), targets)
    return ExecutionResource.of(execution).model_dump(mode="json")


def _mover(transition: Transition) -> CommandHandler:
    async def on_move(work: UnitOfWork, received: Received[Any]) -> Resource:
        asked = received.body
        order = await use_cases.move_order(
            work,
            received.cause,
            transition,
            asked.order_id,
            account_id=asked.account_id,
            reason=getattr(asked, "reason", None),
        )
        return OrderResource.of(order).model_dump(mode="json")

    return on_move


async def _hold_accounts(work: UnitOfWork, batch: Batch) -> None:
    await use_cases.hold_accounts(work, {each.body.account_id for each in batch})


async def _quarantine_accounts(work: UnitOfWork, lost: Sequence[LostKey]) -> None:
    accounts = [(account, key.origin) for key in lost if (account := _account_in(key)) is not None]
    await use_cases.quarantine_accounts(work, accounts)


async def _lock_accounts(work: UnitOfWork, batch: Batch) -> None:
    """Lock the accounts of all commands at once, in one order; those of an allocation are found on the way."""
    requests = [each for each in batch if isinstance(each.body, RequestRebalancing) and each.body.allocations]
    await use_cases.lock_accounts(
        work,
        {account for each in batch for account in _accounts_named_in(each.body)},
        clients={each.envelope.client_id for each in requests},
        allocations={allocation for each in requests for allocation in each.body.allocations},
    )


def _accounts_of(commands: Sequence[PlaceOrder | RequestRebalancing]) -> set[UUID] | None:
    """The accounts that commands are decided on; None if only the copies can tell which."""
    if any(isinstance(command, RequestRebalancing) and command.allocations for command in commands):
        return None
    return {account for command in commands for account in _accounts_named_in(command)}


def _accounts_named_in(command: Command) -> tuple[UUID, ...]:
    if isinstance(command, RequestRebalancing):
        return command.accounts or ()
    account: UUID = command.account_id  # type: ignore[attr-defined] # every other command here is about one
    return (account,)


def _versions_named_in(commands: Sequence[PlaceOrder | RequestRebalancing]) -> dict[UUID, int]:
    named: dict[UUID, int] = {}
    for command in commands:
        if isinstance(command, PlaceOrder) and command.configuration_version is not None:
            named[command.account_id] = max(named.get(command.account_id, 0), command.configuration_version)
    return named


def _account_in(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None
