"""What is shown of orders and executions, the same in answers on HTTP and in replies to commands."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts import Currency, DecimalString, OrderKind, OrderSide, OrderStatus, Timestamp

from .orders import Order
from .rebalancings import Execution


class _Resource(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class OrderResource(_Resource):
    """A portfolio order, whichever route it is read by."""

    id: UUID = Field(description="The order")
    account_id: UUID = Field(description="The account it trades for")
    user_id: UUID | None = Field(description="The user who owns the account; null for rebalancing orders")
    allocation_id: UUID | None = Field(description="The allocation it was taken along")
    configuration_version: int | None = Field(description="The version of the configuration under which it was taken")
    kind: OrderKind = Field(description="PORTFOLIO for what a client placed, REBALANCING for execution orders")
    side: OrderSide | None = Field(description="BUY invests, SELL withdraws; null for rebalancing orders")
    cash_amount: DecimalString | None = Field(description="How much, in the currency; null for rebalancing orders")
    currency: Currency | None = Field(description="ISO 4217 code; null for rebalancing orders")
    client_reference: str | None = Field(description="What the client wrote on it")
    execution_id: UUID | None = Field(description="The rebalancing execution that made it; null for placed orders")
    status: OrderStatus = Field(description="Where it stands")
    cancellation_reason: str | None = Field(description="Why it was cancelled, if it was")
    created_at: Timestamp = Field(description="When it was taken")
    updated_at: Timestamp = Field(description="When it last changed")
    processing_at: Timestamp | None = Field(description="When upstream started on it")
    filled_at: Timestamp | None = Field(description="When it was filled")
    settled_at: Timestamp | None = Field(description="When it was settled")
    cancelled_at: Timestamp | None = Field(description="When it was cancelled")

    @classmethod
    def of(cls, order: Order) -> Self:
        """Show an order."""
        return cls.model_validate(order)


class ExecutionResource(_Resource):
    """A rebalancing execution; its orders have a route of their own."""

    id: UUID = Field(description="The execution")
    created_at: Timestamp = Field(description="When it was requested")

    @classmethod
    def of(cls, execution: Execution) -> Self:
        """Show an execution."""
        return cls.model_validate(execution)
