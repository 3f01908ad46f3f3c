"""A delivery: one event on its way to one subscription."""

from collections.abc import Sequence
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
    #: it cannot be sent at all
    FAILED = "FAILED"


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
    #: the event is larger than a body may be
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    SUBSCRIPTION_DISABLED = "SUBSCRIPTION_DISABLED"
    SUBSCRIPTION_DELETED = "SUBSCRIPTION_DELETED"
    #: its client may have no webhooks any more
    CLIENT_REVOKED = "CLIENT_REVOKED"


@dataclass(frozen=True)
class Subscription:
    """A subscriber's endpoint, as far as planning needs it."""

    id: UUID
    client_id: UUID
    selection: Selection
    ordered: bool = False
    #: seconds that events wait before their first attempt
    delay: float = 0.0
    #: events in one body at most
    max_package_size: int = 1


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
    #: goes out only once nothing of its account stands before it
    ordered: bool = False
    #: seconds until the first attempt is due
    delay: float = 0.0
    #: how many events its body may hold
    package_size: int = 1
    #: the events that are packed with the first one: their ids and types
    more: Sequence[tuple[str, WebhookType]] = ()
    #: the trace context of the first of its events
    traceparent: str | None = None


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
    ordered: bool = False
    #: seconds for this attempt; None for the operator's
    timeout: float | None = None
    #: seconds at most between attempts, where its subscription has a schedule of its own
    schedule: Sequence[float] | None = None
    #: the subscription's revision, where its endpoint is approached with more than the signed request
    access_revision: int | None = None
    #: its endpoint answers quickly, so that it takes one of the slots kept for those
    quick: bool = True
    #: all that its endpoint may be sent now was taken: more may be waiting
    more: bool = False
    #: attempts made before it was sent again, which its schedule does not count
    tried_before: int = 0
    #: when the first of its events happened
    event_time: datetime | None = None
    #: the trace context of the first of its events
    traceparent: str | None = None


def message_id_of(delivery_id: UUID) -> str:
    """The `webhook-id`: the same in every attempt, so that subscribers can tell copies."""
    return f"msg_{delivery_id.hex}"
