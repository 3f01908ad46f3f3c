"""Every message of the bus by its type, and the state that each compacted topic holds."""

from types import MappingProxyType
from typing import Final

from . import accounts, allocations, clients, configurations, orders, portfolios, rebalancings, replies, subscriptions
from .base import Message, StateEvent
from .topics import Topic

#: `ce_type` -> class, of every message that may be sent.
MESSAGES: Final[MappingProxyType[str, type[Message]]] = MappingProxyType(
    {
        message.__name__: message
        for message in (
            accounts.AccountCreated,
            accounts.AccountUpdated,
            allocations.AllocationCreated,
            allocations.AllocationChanged,
            allocations.AllocationDeleted,
            clients.ClientCreated,
            clients.ClientChanged,
            clients.ClientRevoked,
            configurations.ConfigurationCreated,
            configurations.ConfigurationChanged,
            configurations.ConfigurationDeleted,
            configurations.CreateConfiguration,
            configurations.ChangeConfiguration,
            configurations.DeleteConfiguration,
            orders.OrderPlaced,
            orders.OrderProcessingStarted,
            orders.OrderFilled,
            orders.OrderSettled,
            orders.OrderCancelled,
            orders.PlaceOrder,
            orders.CancelOrder,
            orders.StartOrderProcessing,
            orders.FillOrder,
            orders.SettleOrder,
            orders.RejectOrder,
            portfolios.PortfolioCreated,
            portfolios.PortfolioUpdated,
            portfolios.PortfolioDeleted,
            portfolios.CreatePortfolio,
            portfolios.UpdatePortfolio,
            portfolios.DeletePortfolio,
            rebalancings.RebalancingOrderCreated,
            rebalancings.RebalancingOrderProcessingStarted,
            rebalancings.RebalancingOrderFilled,
            rebalancings.RebalancingOrderCancelled,
            rebalancings.RequestRebalancing,
            rebalancings.CancelRebalancing,
            rebalancings.StartRebalancingOrder,
            rebalancings.FillRebalancingOrder,
            rebalancings.CancelRebalancingOrder,
            replies.CommandAccepted,
            replies.CommandRejected,
            subscriptions.SubscriptionDisabled,
        )
    }
)

_STATES: Final[dict[str, type[StateEvent]]] = {
    state.topic.name: state
    for state in (
        accounts.AccountState,
        allocations.AllocationState,
        clients.ClientState,
        configurations.ConfigurationState,
        portfolios.PortfolioState,
    )
}


def state_of(topic: Topic | str) -> type[StateEvent] | None:
    """The whole-state body that every event on a compacted topic has, whatever its type; None for other topics."""
    return _STATES.get(topic if isinstance(topic, str) else topic.name)
