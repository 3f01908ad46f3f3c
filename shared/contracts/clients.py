"""Clients: who integrates, and whether it still may."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from .base import StateEvent
from .topics import CLIENTS_EVENTS, Topic
from .values import Listed, Name, ShortText, Timestamp

MAX_SCOPES = 100


class ClientState(StateEvent):
    """The whole client after a change; of its secrets nothing."""

    topic: ClassVar[Topic] = CLIENTS_EVENTS
    key_field: ClassVar[str] = "client_id"

    client_id: UUID = Field(description="The client")
    name: Name = Field(description="What it is called")
    scopes: Listed[ShortText] = Field(max_length=MAX_SCOPES, description="What it may do, such as accounts:read")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")
    revoked_at: Timestamp | None = Field(description="When its access was taken back, which is final; null until then")


class ClientCreated(ClientState):
    """A client was made."""


class ClientChanged(ClientState):
    """A client's name or scopes changed."""


class ClientRevoked(ClientState):
    """A client's access was taken back: it gets no more tokens and no more webhooks."""
