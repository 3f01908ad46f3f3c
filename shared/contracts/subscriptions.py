"""Subscriptions: what ops should know of the subscribers' endpoints."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from .base import Event
from .topics import SUBSCRIPTIONS_EVENTS, Topic
from .values import Name, Timestamp


class SubscriptionDisabled(Event):
    """A subscription was switched off because its endpoint is gone or has failed for too long."""

    topic: ClassVar[Topic] = SUBSCRIPTIONS_EVENTS
    key_field: ClassVar[str] = "subscription_id"

    subscription_id: UUID = Field(description="The subscription")
    reason: Name = Field(description="Why it was switched off")
    disabled_at: Timestamp = Field(description="When")
