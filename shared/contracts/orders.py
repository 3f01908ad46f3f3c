"""Portfolio orders: investing and withdrawing cash along an account's allocation."""

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field, field_validator

from .base import Command, Event
from .topics import ORDERS_COMMANDS, ORDERS_EVENTS, Topic
from .values import Currency, DecimalString, Name, Timestamp, Version


class OrderKind(StrEnum):
    """PORTFOLIO orders are asked for by clients; REBALANCING ones come from a rebalancing and have their own events."""

    PORTFOLIO = "PORTFOLIO"
    REBALANCING = "REBALANCING"


class OrderSide(StrEnum):
    """BUY invests, SELL withdraws."""

    BUY = "BUY"
    SELL = "SELL"


class OrderStatus(StrEnum):
    """NEW, PROCESSING, FILLED, SETTLED; or CANCELLED from NEW, and from PROCESSING by upstream's rejection only."""

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    FILLED = "FILLED"
    SETTLED = "SETTLED"
    CANCELLED = "CANCELLED"


class OrderCancellationReason(StrEnum):
    """Why an order was cancelled."""

    CANCELLED_BY_CLIENT = "CANCELLED_BY_CLIENT"
    CONFIGURATION_DELETED = "CONFIGURATION_DELETED"
    REJECTED_BY_UPSTREAM = "REJECTED_BY_UPSTREAM"


class OrderState(Event):
    """The whole order after a transition, as the API shows it."""

    topic: ClassVar[Topic] = ORDERS_EVENTS
    key_field: ClassVar[str] = "account_id"
    #: The status that an event of this class tells of.
    announces: ClassVar[OrderStatus | None] = None

    id: UUID = Field(description="The order")
    account_id: UUID = Field(description="The account it trades for")
    user_id: UUID = Field(description="The user who owns the account")
    allocation_id: UUID = Field(description="The allocation it was placed along")
    configuration_version: Version = Field(description="The version of the configuration under which it was taken")
    # Rebalancing orders are announced on their own topic, behind the gate; one here would go around it.
    kind: Literal[OrderKind.PORTFOLIO] = Field(default=OrderKind.PORTFOLIO, description="Always PORTFOLIO")
    side: OrderSide = Field(description="BUY invests, SELL withdraws")
    cash_amount: DecimalString = Field(description="How much, as a decimal string, in the currency")
    currency: Currency = Field(description="ISO 4217 code")
    client_reference: Name | None = Field(description="What the client wrote on it")
    status: OrderStatus = Field(description="Where it stands")
    cancellation_reason: OrderCancellationReason | None = Field(description="Why it was cancelled, if it was")
    created_at: Timestamp = Field(description="When it was placed")
    updated_at: Timestamp = Field(description="When it last changed")
    processing_at: Timestamp | None = Field(description="When upstream started on it")
    filled_at: Timestamp | None = Field(description="When it was filled")
    settled_at: Timestamp | None = Field(description="When it was settled")
    cancelled_at: Timestamp | None = Field(description="When it was cancelled")

    @field_validator("status")
    @classmethod
    def _is_what_the_type_announces(cls, status: OrderStatus) -> OrderStatus:
        if cls.announces is not None and status is not cls.announces:
            message = f"{cls.__name__} says that status is {cls.announces}"
            raise ValueError(message)
        return status


class OrderPlaced(OrderState):
    """An order was taken."""

    announces: ClassVar[OrderStatus | None] = OrderStatus.NEW


class OrderProcessingStarted(OrderState):
    """Upstream has started on an order; from now on only upstream can stop it."""

    announces: ClassVar[OrderStatus | None] = OrderStatus.PROCESSING


class OrderFilled(OrderState):
    """An order was filled."""

    announces: ClassVar[OrderStatus | None] = OrderStatus.FILLED


class OrderSettled(OrderState):
    """An order was settled; it is done."""

    announces: ClassVar[OrderStatus | None] = OrderStatus.SETTLED


class OrderCancelled(OrderState):
    """An order was cancelled; the body says why."""

    announces: ClassVar[OrderStatus | None] = OrderStatus.CANCELLED


class PlaceOrder(Command):
    """Place a portfolio order."""

    topic: ClassVar[Topic] = ORDERS_COMMANDS
    key_field: ClassVar[str] = "account_id"

    user_id: UUID = Field(description="The user who owns the account")
    account_id: UUID = Field(description="The account to trade for")
    cash_amount: DecimalString = Field(description="How much, as a decimal string, in the currency; more than zero")
    currency: Currency = Field(description="ISO 4217 code")
    side: OrderSide = Field(description="BUY invests, SELL withdraws")
    client_reference: Name | None = Field(default=None, description="What the client wants to find on the order")
    configuration_version: Version | None = Field(
        default=None, description="The configuration that the caller has in mind; an older one is refused"
    )


class OrderCommand(Command):
    """A command about one order."""

    topic: ClassVar[Topic] = ORDERS_COMMANDS
    key_field: ClassVar[str] = "account_id"

    account_id: UUID = Field(description="The account of the order")
    order_id: UUID = Field(description="The order")


class CancelOrder(OrderCommand):
    """Cancel an order, as its client; possible while it is NEW."""


class StartOrderProcessing(OrderCommand):
    """Execution report: upstream has started on the order."""


class FillOrder(OrderCommand):
    """Execution report: the order was filled."""


class SettleOrder(OrderCommand):
    """Execution report: the order was settled."""


class RejectOrder(OrderCommand):
    """Execution report: upstream rejects the order, which may be NEW or PROCESSING."""
