"""An order's event, as the benchmarks send it."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from shared.contracts import OrderPlaced, OrderSide, OrderStatus


def an_order(account_id: UUID) -> OrderPlaced:
    """An order of that account, placed now."""
    now = datetime.now(UTC)
    return OrderPlaced(
        id=uuid4(),
        account_id=account_id,
        user_id=uuid4(),
        allocation_id=uuid4(),
        configuration_version=1,
        side=OrderSide.BUY,
        cash_amount=Decimal("100.00"),
        currency="EUR",
        client_reference=None,
        status=OrderStatus.NEW,
        cancellation_reason=None,
        processing_at=None,
        filled_at=None,
        settled_at=None,
        cancelled_at=None,
        created_at=now,
        updated_at=now,
    )
