"""A delivery: one event on its way to one subscription."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from .event_types import Selection, WebhookType


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "WAITING"
    LEASED = "LEASED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    SUPPRESSED = "SUPPRESSED"
    DISCARDED = "DISCARDED"


class PlannedState(StrEnum):
    """The states in which a delivery may begin."""

    WAITING = "WAITING"
    SUPPRESSED = "SUPPRESSED"


class Reason(StrEnum):
    """Why a delivery ended other than delivered."""

    #: the account had no configuration when the event was planned
    NOT_CONFIGURED = "NOT_CONFIGURED"
    #: the event belongs to a version before the account's present one
    OLDER_CONFIGURATION = "OLDER_CONFIGURATION"
    #: the configuration that it belongs to was deleted while it waited
    CONFIGURATION_DELETED = "CONFIGURATION_DELETED"
    #: the schedule of attempts is used up
    EXHAUSTED = "EXHAUSTED"
    #: the endpoint answered 410
    ENDPOINT_GONE = "ENDPOINT_GONE"
    SUBSCRIPTION_DISABLED = "SUBSCRIPTION_DISABLED"
    SUBSCRIPTION_DELETED = "SUBSCRIPTION_DELETED"


@dataclass(frozen=True)
class Subscription:
    """A subscriber's endpoint, as far as planning needs it."""

    id: UUID
    client_id: UUID
    selection: Selection


@dataclass(frozen=True)
class Planned:
    """A delivery to be recorded: waiting, or suppressed from the start."""

    id: UUID
    subscription_id: UUID
    client_id: UUID
    account_id: UUID | None
    event_source: str
    event_id: str
    event_time: datetime
    webhook_type: WebhookType
    #: whether the rule of the project is asked before each attempt
    gated: bool
    configuration_version: int | None
    state: PlannedState
    reason: Reason | None
    #: how far the copy of configurations had come, where it was asked
    planned_position: int | None
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Claimed:
    """A delivery whose next attempt has started: it is leased to this process."""

    id: UUID
    subscription_id: UUID
    client_id: UUID
    account_id: UUID | None
    webhook_type: str
    #: counts from 1
    attempt: int
    lease_token: UUID
    url: str
    sealed_secret: bytes = field(repr=False)
    body: bytes = field(repr=False)


def message_id_of(delivery_id: UUID) -> str:
    """The `webhook-id`: the same in every attempt, so that subscribers can tell copies."""
    return f"msg_{delivery_id.hex}"
