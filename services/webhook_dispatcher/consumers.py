"""What the dispatcher hears on the bus: three groups, so that the barrier of the second never waits for itself."""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Happening, Stopped, told_to_nobody
from services.webhook_dispatcher.storage import KEEPER, AccountCopy, ConfigurationCopy
from shared.contracts import (
    ACCOUNTS_EVENTS,
    ALLOCATIONS_EVENTS,
    CLIENTS_EVENTS,
    CONFIGURATIONS_EVENTS,
    ORDERS_EVENTS,
    PORTFOLIOS_EVENTS,
    REBALANCINGS_EVENTS,
    AccountCreated,
    AccountState,
    AccountUpdated,
    AllocationChanged,
    AllocationCreated,
    AllocationDeleted,
    ClientState,
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationState,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    OrderProcessingStarted,
    OrderSettled,
    PortfolioCreated,
    PortfolioDeleted,
    PortfolioUpdated,
    RebalancingOrderCancelled,
    RebalancingOrderCreated,
    RebalancingOrderFilled,
    RebalancingOrderProcessingStarted,
)
from shared.kit.barrier import ReadBarrier
from shared.kit.received import Received
from shared.kit.subscriber import RefusedEvents, Subscriber
from shared.kit.unit_of_work import UnitOfWork

#: tells the delivery worker of this process that there is something to send for these subscriptions
Wake = Callable[[Collection[UUID]], None]

#: An event that names a configuration version from the future is given this many attempts, within about a second.
_PATIENCE = 4


def copies_subscriber(stopped: Stopped = told_to_nobody) -> Subscriber:
    """Keeps the copies, closes the gate with every deletion, and stops the webhooks of revoked clients."""
    subscriber = Subscriber(
        group=KEEPER,
        topics=[CONFIGURATIONS_EVENTS, ACCOUNTS_EVENTS, CLIENTS_EVENTS],
        keeps_copies=True,
        quarantine=use_cases.shut_gates,
    )

    # One function for all, so that a batch is one call in whatever order the kinds come.
    @subscriber.on(ConfigurationState, AccountState, ClientState)
    async def on_state(work: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        configurations: list[Received[ConfigurationState]] = _of(ConfigurationState, messages)
        accounts: list[Received[AccountState]] = _of(AccountState, messages)
        await use_cases.apply_states(
            work,
            configurations=[_configuration_in(received) for received in configurations],
            accounts=[_account_in(received) for received in accounts],
            clients=_of(ClientState, messages),
            stopped=stopped,
        )
        redriven = [received for received in configurations if _is_redriven(received)]
        await use_cases.reopen_gates(work, [(received.body.account_id, received.origin) for received in redriven])

    return subscriber


def rebalancings_subscriber(barrier: ReadBarrier, wake: Wake, stopped: Stopped = told_to_nobody) -> Subscriber:
    """Plans rebalancing events, once the copies have come as far as Kafka had when the events were taken up (P5)."""

    async def copies_have_caught_up(received: Iterable[Received[Any]]) -> None:
        await barrier.wait({each.body.key for each in received})

    subscriber = Subscriber(
        group="webhook_dispatcher.rebalancings",
        topics=[REBALANCINGS_EVENTS],
        before=copies_have_caught_up,
        patience=_PATIENCE,
    )

    @subscriber.on(
        RebalancingOrderCreated, RebalancingOrderProcessingStarted, RebalancingOrderFilled, RebalancingOrderCancelled
    )
    async def on_rebalancing_event(work: UnitOfWork, messages: Sequence[Received[Any]]) -> RefusedEvents:
        happenings = [_happening_in(received) for received in messages]
        told, foreign = await use_cases.plan_behind_the_gate(work, happenings, stopped)
        work.once_committed(partial(wake, told))
        return [(messages[place], use_cases.AccountOfAnotherClient()) for place in foreign]

    return subscriber


def events_subscriber(wake: Wake) -> Subscriber:
    """Plans what goes out whether or not the account is configured."""
    subscriber = Subscriber(
        group="webhook_dispatcher.events",
        topics=[ORDERS_EVENTS, ALLOCATIONS_EVENTS, ACCOUNTS_EVENTS, CONFIGURATIONS_EVENTS, PORTFOLIOS_EVENTS],
    )

    @subscriber.on(OrderPlaced, OrderProcessingStarted, OrderFilled, OrderSettled, OrderCancelled)
    @subscriber.on(AllocationCreated, AllocationChanged, AllocationDeleted)
    @subscriber.on(AccountCreated, AccountUpdated)
    @subscriber.on(PortfolioCreated, PortfolioUpdated, PortfolioDeleted)
    @subscriber.on(ConfigurationCreated, ConfigurationChanged, ConfigurationDeleted)
    async def on_event(work: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        told = await use_cases.plan_deliveries(work, [_happening_in(received) for received in messages])
        work.once_committed(partial(wake, told))

    return subscriber


def _of(kind: type[Any], messages: Sequence[Received[Any]]) -> list[Received[Any]]:
    return [received for received in messages if isinstance(received.body, kind)]


def _is_redriven(received: Received[Any]) -> bool:
    # A redriven record keeps its first place, and comes by the group's own topic.
    return not received.record.topic.endswith(received.origin.topic)


def _account_in(received: Received[AccountState]) -> AccountCopy:
    return AccountCopy(received.body.account_id, received.envelope.client_id, received.body.revision)


def _configuration_in(received: Received[ConfigurationState]) -> ConfigurationCopy:
    state = received.body
    return ConfigurationCopy(
        account_id=state.account_id,
        client_id=received.envelope.client_id,
        version=state.version,
        revision=state.revision,
        configured=state.configured,
        partition=received.origin.partition,
        offset=received.origin.offset,
    )


def _happening_in(received: Received[Any]) -> Happening:
    envelope = received.envelope
    return Happening.of(
        received.body,
        client_id=envelope.client_id,
        source=envelope.source,
        id=envelope.id,
        time=envelope.time,
        traceparent=envelope.traceparent,
    )
