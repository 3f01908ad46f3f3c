"""What is shown of orders and executions, the same in answers on HTTP and in replies to commands."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts import Currency, DecimalString, OrderKind, OrderSide, OrderStatus, Timestamp

from .orders import Order
from .rebalancings import Execution, Progress


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
    cancelled_at: Timestamp | None = Field(description="When its client cancelled it, if so")

    @classmethod
    def of(cls, execution: Execution) -> Self:
        """Show an execution."""
        return cls.model_validate(execution)


class OrderCounts(_Resource):
    """How many orders of an execution stand where."""

    NEW: int = Field(0, ge=0, description="Made, and upstream has not started on them", examples=[120])
    PROCESSING: int = Field(0, ge=0, description="Upstream works on them", examples=[40])
    FILLED: int = Field(0, ge=0, description="Done", examples=[800])
    CANCELLED: int = Field(0, ge=0, description="Cancelled; each says why", examples=[40])


class ProgressResource(ExecutionResource):
    """A rebalancing execution and how far it has come."""

    pending: int = Field(ge=0, description="Accounts whose orders are still to be made", examples=[0])
    orders: OrderCounts = Field(description="How many of its orders stand where")

    @classmethod
    def showing(cls, progress: Progress) -> Self:
        """Show an execution with its progress."""
        counts = OrderCounts.model_validate({status.value: count for status, count in progress.by_status.items()})
        return cls(**ExecutionResource.of(progress.execution).model_dump(), pending=progress.pending, orders=counts)
