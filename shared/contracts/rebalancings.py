"""Rebalancings: bringing accounts back to their target, with one execution order for each account."""

from enum import StrEnum
from typing import ClassVar, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from .base import Command, Event
from .topics import REBALANCINGS_COMMANDS, REBALANCINGS_EVENTS, Topic
from .values import Listed, Timestamp, Version

MAX_REQUESTED_ACCOUNTS = 10_000
MAX_REQUESTED_ALLOCATIONS = 1_000


class RebalancingOrderStatus(StrEnum):
    """NEW, PROCESSING, FILLED; or CANCELLED."""

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"


class RebalancingCancellationReason(StrEnum):
    """Why a rebalancing execution order was cancelled."""

    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    ACCOUNT_IS_EMPTY = "ACCOUNT_IS_EMPTY"
    CONFIGURATION_IS_MISSING = "CONFIGURATION_IS_MISSING"
    INVALID_ACCOUNT_TYPE = "INVALID_ACCOUNT_TYPE"
    INVALID_ACCOUNT_STATUS = "INVALID_ACCOUNT_STATUS"
    PORTFOLIO_IS_BALANCED = "PORTFOLIO_IS_BALANCED"
    CANCELLED_BY_CLIENT = "CANCELLED_BY_CLIENT"


class RebalancingOrderState(Event):
    """The whole rebalancing execution order after a transition.

    Upstream rebalancing engines publish these straight onto the bus as well, so an order may be one that this system
    has never seen, and need not name its execution or the configuration version.
    """

    topic: ClassVar[Topic] = REBALANCINGS_EVENTS
    key_field: ClassVar[str] = "account_id"
    #: The status that an event of this class tells of.
    announces: ClassVar[RebalancingOrderStatus | None] = None

    id: UUID = Field(description="The execution order")
    execution_id: UUID | None = Field(description="The rebalancing execution that made it")
    account_id: UUID = Field(description="The account that is rebalanced")
    configuration_version: Version | None = Field(description="The version of the configuration that it belongs to")
    status: RebalancingOrderStatus = Field(description="Where it stands")
    cancellation_reason: RebalancingCancellationReason | None = Field(description="Why it was cancelled, if it was")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")

    @field_validator("status")
    @classmethod
    def _is_what_the_type_announces(cls, status: RebalancingOrderStatus) -> RebalancingOrderStatus:
        if cls.announces is not None and status is not cls.announces:
            message = f"{cls.__name__} says that status is {cls.announces}"
            raise ValueError(message)
        return status


class RebalancingOrderCreated(RebalancingOrderState):
    """A rebalancing execution order was made."""

    announces: ClassVar[RebalancingOrderStatus | None] = RebalancingOrderStatus.NEW


class RebalancingOrderProcessingStarted(RebalancingOrderState):
    """Upstream has started on a rebalancing execution order."""

    announces: ClassVar[RebalancingOrderStatus | None] = RebalancingOrderStatus.PROCESSING


class RebalancingOrderFilled(RebalancingOrderState):
    """A rebalancing execution order was filled."""

    announces: ClassVar[RebalancingOrderStatus | None] = RebalancingOrderStatus.FILLED


class RebalancingOrderCancelled(RebalancingOrderState):
    """A rebalancing execution order was cancelled; the body says why."""

    announces: ClassVar[RebalancingOrderStatus | None] = RebalancingOrderStatus.CANCELLED


class RequestRebalancing(Command):
    """Bring accounts back to their target: these accounts, or all that are configured with these allocations."""

    topic: ClassVar[Topic] = REBALANCINGS_COMMANDS
    key_field: ClassVar[str] = "execution_id"

    execution_id: UUID | None = Field(
        default=None, description="The id that the execution shall have; without it the record's key is any UUID"
    )
    accounts: Listed[UUID] | None = Field(
        default=None, min_length=1, max_length=MAX_REQUESTED_ACCOUNTS, description="The accounts to rebalance"
    )
    allocations: Listed[UUID] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_REQUESTED_ALLOCATIONS,
        description="The allocations whose accounts to rebalance",
    )

    @model_validator(mode="after")
    def _names_accounts_or_allocations(self) -> Self:
        if (self.accounts is None) == (self.allocations is None):
            message = "give exactly one of accounts and allocations"
            raise ValueError(message)
        return self

    @property
    def key(self) -> str:
        """The execution id; a request without one has no key of its own, and its sender chooses a UUID for it."""
        if self.execution_id is None:
            message = "a request without execution_id needs a key of the sender's choice"
            raise ValueError(message)
        return str(self.execution_id)

    def accepts_key(self, key: bytes) -> bool:
        """The execution id, or any UUID in canonical form where the request names none."""
        if self.execution_id is not None:
            return key == str(self.execution_id).encode()
        try:
            return str(UUID(key.decode("ascii"))).encode() == key
        except ValueError:
            return False


class CancelRebalancing(Command):
    """Cancel those orders of a rebalancing execution that are still NEW, as its client."""

    topic: ClassVar[Topic] = REBALANCINGS_COMMANDS
    key_field: ClassVar[str] = "execution_id"

    execution_id: UUID = Field(description="The execution")


class RebalancingOrderCommand(Command):
    """A command about one rebalancing execution order."""

    topic: ClassVar[Topic] = REBALANCINGS_COMMANDS
    key_field: ClassVar[str] = "account_id"

    account_id: UUID = Field(description="The account of the order")
    order_id: UUID = Field(description="The execution order")


class StartRebalancingOrder(RebalancingOrderCommand):
    """Execution report: upstream has started on the order."""


class FillRebalancingOrder(RebalancingOrderCommand):
    """Execution report: the order was filled."""


class CancelRebalancingOrder(RebalancingOrderCommand):
    """Execution report: the order was cancelled."""

    reason: RebalancingCancellationReason = Field(
        description="Why it was cancelled: what upstream found, so anything but CANCELLED_BY_CLIENT"
    )
