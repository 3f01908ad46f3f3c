"""Portfolio orders of both kinds, and the events that announce them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from shared.contracts import (
    Event,
    OrderCancelled,
    OrderFilled,
    OrderKind,
    OrderPlaced,
    OrderProcessingStarted,
    OrderSettled,
    OrderSide,
    OrderState,
    OrderStatus,
    RebalancingOrderCancelled,
    RebalancingOrderCreated,
    RebalancingOrderFilled,
    RebalancingOrderProcessingStarted,
    RebalancingOrderState,
)

#: The event that announces an order of a kind in a status.
EVENTS: Final[Mapping[tuple[OrderKind, OrderStatus], type[OrderState] | type[RebalancingOrderState]]] = (
    MappingProxyType(
        {
            (OrderKind.PORTFOLIO, OrderStatus.NEW): OrderPlaced,
            (OrderKind.PORTFOLIO, OrderStatus.PROCESSING): OrderProcessingStarted,
            (OrderKind.PORTFOLIO, OrderStatus.FILLED): OrderFilled,
            (OrderKind.PORTFOLIO, OrderStatus.SETTLED): OrderSettled,
            (OrderKind.PORTFOLIO, OrderStatus.CANCELLED): OrderCancelled,
            (OrderKind.REBALANCING, OrderStatus.NEW): RebalancingOrderCreated,
            (OrderKind.REBALANCING, OrderStatus.PROCESSING): RebalancingOrderProcessingStarted,
            (OrderKind.REBALANCING, OrderStatus.FILLED): RebalancingOrderFilled,
            (OrderKind.REBALANCING, OrderStatus.CANCELLED): RebalancingOrderCancelled,
        },
    )
)


@dataclass(frozen=True)
class WantedOrder:
    """What a client asks for."""

    account_id: UUID
    user_id: UUID
    side: OrderSide
    cash_amount: Decimal
    currency: str
    client_reference: str | None = None
    #: the configuration that the client has in mind
    configuration_version: int | None = None


@dataclass(frozen=True)
class Order:
    """A portfolio order; what is None for one kind is said at each field."""

    id: UUID
    client_id: UUID
    account_id: UUID
    kind: OrderKind
    status: OrderStatus
    created_at: datetime
    updated_at: datetime
    #: None for rebalancing orders, as are side, cash_amount, currency and client_reference
    user_id: UUID | None = None
    allocation_id: UUID | None = None
    #: None only for rebalancing orders that were cancelled at once
    configuration_version: int | None = None
    side: OrderSide | None = None
    cash_amount: Decimal | None = None
    currency: str | None = None
    client_reference: str | None = None
    #: None for orders that a client placed
    execution_id: UUID | None = None
    cancellation_reason: str | None = None
    processing_at: datetime | None = None
    filled_at: datetime | None = None
    settled_at: datetime | None = None
    cancelled_at: datetime | None = None


def event_of(order: Order) -> Event:
    """The event that announces the order as it now stands."""
    announcing = EVENTS[order.kind, order.status]
    told: dict[str, Any] = {field.name: getattr(order, field.name) for field in fields(order)}
    # Through the contract's lax mode: statuses and reasons are its own enumerations.
    return announcing.model_validate(told, strict=False)
