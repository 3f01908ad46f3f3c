"""Kafka in: the copies that decisions rest on, and what upstream asks for with commands."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from pydantic import JsonValue

from shared.contracts import (
    ACCOUNTS_EVENTS,
    CONFIGURATIONS_EVENTS,
    ORDERS_COMMANDS,
    PORTFOLIOS_EVENTS,
    REBALANCINGS_COMMANDS,
    AccountState,
    CancelOrder,
    CancelRebalancing,
    CancelRebalancingOrder,
    Command,
    ConfigurationState,
    FillOrder,
    FillRebalancingOrder,
    PlaceOrder,
    PortfolioState,
    RejectOrder,
    RequestRebalancing,
    SettleOrder,
    StartOrderProcessing,
    StartRebalancingOrder,
)
from shared.kit.received import LostKey, Received
from shared.kit.refusals import Refused
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
COPIED_TOPICS = (CONFIGURATIONS_EVENTS, ACCOUNTS_EVENTS, PORTFOLIOS_EVENTS)
#: Those of them whose keys are not accounts.
KEYED_OTHERWISE = (PORTFOLIOS_EVENTS,)

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

#: tells the worker of this process that there may be work on an execution
Wake = Callable[[], None]
Resource = dict[str, JsonValue]
Batch = Sequence[Received[Any]]


def copies_subscriber() -> Subscriber:
    """The group that keeps the copies of accounts and portfolios, and cancels what their events stop."""
    subscriber = Subscriber(
        COPIES_GROUP, COPIED_TOPICS, keeps_copies=True, locks=use_cases.hold_what_is_told_of, quarantine=_quarantine
    )

    # One function for all, so that a batch is one call in whatever order the kinds come.
    @subscriber.on(AccountState, ConfigurationState, PortfolioState)
    async def on_state(
        work: UnitOfWork, batch: Sequence[Received[AccountState | ConfigurationState | PortfolioState]]
    ) -> None:
        await use_cases.apply_states(work, batch)

    return subscriber


def commands_subscriber(copies: use_cases.Copies, wake: Wake) -> Subscriber:
    """The group that does what upstream asks for with commands; its refusals are final, so the copies come first."""

    async def copies_caught_up(batch: Batch) -> None:
        deciding = [each.body for each in batch if isinstance(each.body, PlaceOrder | RequestRebalancing)]
        if deciding:
            await copies.caught_up(_accounts_of(deciding), _versions_named_in(deciding))

    subscriber = Subscriber(
        COMMANDS_GROUP,
        (ORDERS_COMMANDS, REBALANCINGS_COMMANDS),
        locks=_lock_accounts,
        before=copies_caught_up,
        foresees=_foresee,
    )
    subscriber.on_command(PlaceOrder)(_on_place_order)
    subscriber.on_command(RequestRebalancing)(_waking(wake, _on_request_rebalancing))
    subscriber.on_command(CancelRebalancing)(_waking(wake, _on_cancel_rebalancing))
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


async def _on_cancel_rebalancing(work: UnitOfWork, received: Received[CancelRebalancing]) -> Resource:
    execution = await use_cases.cancel_rebalancing(work, received.cause, received.body.execution_id)
    return ExecutionResource.of(execution).model_dump(mode="json")


def _waking(wake: Wake, handler: CommandHandler) -> CommandHandler:
    async def on_command(work: UnitOfWork, received: Received[Any]) -> Resource | None:
        resource = await handler(work, received)
        wake()
        return resource

    return on_command


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


async def _quarantine(work: UnitOfWork, lost: Sequence[LostKey]) -> None:
    named = [(key_id, key.origin) for key in lost if (key_id := _id_in(key)) is not None]
    of_portfolios = [each for each in named if each[1].topic == PORTFOLIOS_EVENTS.name]
    of_accounts = [each for each in named if each[1].topic != PORTFOLIOS_EVENTS.name]
    await use_cases.quarantine(work, of_accounts, of_portfolios)


async def _lock_accounts(work: UnitOfWork, batch: Batch) -> None:
    """Lock the accounts of all commands at once, in one order; requests over many leave theirs to the worker."""
    named = {
        each.body.account_id for each in batch if not isinstance(each.body, RequestRebalancing | CancelRebalancing)
    }
    if named:
        await use_cases.lock_accounts(work, named)


async def _foresee(work: UnitOfWork, batch: Batch) -> Sequence[Refused | None]:
    return await use_cases.foresee_refusals(work, [(each.cause.client_id, _wanted_by(each.body)) for each in batch])


def _wanted_by(command: Command) -> WantedOrder | use_cases.WantedMove | None:
    if isinstance(command, PlaceOrder):
        return WantedOrder(**command.model_dump())
    transition = MOVES.get(type(command))
    if transition is None:
        return None
    asked: Any = command
    return use_cases.WantedMove(transition, asked.order_id, asked.account_id, getattr(asked, "reason", None))


def _accounts_of(commands: Sequence[PlaceOrder | RequestRebalancing]) -> set[UUID] | None:
    """The accounts that commands are decided on; None if only the copies can tell which."""
    if any(isinstance(command, RequestRebalancing) and command.allocations for command in commands):
        return None
    return {account for command in commands for account in _accounts_named_in(command)}


def _accounts_named_in(command: PlaceOrder | RequestRebalancing) -> tuple[UUID, ...]:
    return command.accounts or () if isinstance(command, RequestRebalancing) else (command.account_id,)


def _versions_named_in(commands: Sequence[PlaceOrder | RequestRebalancing]) -> dict[UUID, int]:
    named: dict[UUID, int] = {}
    for command in commands:
        if isinstance(command, PlaceOrder) and command.configuration_version is not None:
            named[command.account_id] = max(named.get(command.account_id, 0), command.configuration_version)
    return named


def _id_in(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None
