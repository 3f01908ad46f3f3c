"""Orders, their events and how they are shown."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.order_service.domain import EVENTS, Order, OrderResource, event_of
from shared.contracts import OrderKind, OrderSide, OrderStatus

AT = datetime(2026, 1, 31, 12, 0, 2, 250000, tzinfo=UTC)


def an_order(kind: OrderKind, status: OrderStatus) -> Order:
    cancelled = status is OrderStatus.CANCELLED
    common: dict[str, Any] = {
        "id": UUID(int=1),
        "client_id": UUID(int=2),
        "account_id": UUID(int=3),
        "allocation_id": UUID(int=4),
        "configuration_version": 1,
        "kind": kind,
        "status": status,
        "created_at": AT,
        "updated_at": AT,
        "cancelled_at": AT if cancelled else None,
    }
    if kind is OrderKind.REBALANCING:
        reason = "PORTFOLIO_IS_BALANCED" if cancelled else None
        return Order(**common, execution_id=UUID(int=5), cancellation_reason=reason)
    return Order(
        **common,
        user_id=UUID(int=6),
        side=OrderSide.BUY,
        cash_amount=Decimal("100.00"),
        currency="EUR",
        cancellation_reason="CONFIGURATION_DELETED" if cancelled else None,
    )


@pytest.mark.parametrize(("kind", "status"), EVENTS)
def test_every_status_is_announced_by_the_event_of_its_kind(kind: OrderKind, status: OrderStatus) -> None:
    event = event_of(an_order(kind, status))
    assert type(event) is EVENTS[kind, status]
    assert type(event).model_validate_json(event.model_dump_json()) == event
    assert event.key == str(UUID(int=3))


@pytest.mark.parametrize("status", OrderStatus)
def test_the_event_of_a_portfolio_order_says_what_the_api_shows(status: OrderStatus) -> None:
    order = an_order(OrderKind.PORTFOLIO, status)
    shown = OrderResource.of(order).model_dump(mode="json")
    assert event_of(order).model_dump(mode="json") == {name: shown[name] for name in shown if name != "execution_id"}
    assert (shown["cash_amount"], shown["created_at"]) == ("100.00", "2026-01-31T12:00:02.250000Z")


def test_a_resource_never_shows_whose_client_it_is() -> None:
    assert "client_id" not in OrderResource.model_fields
