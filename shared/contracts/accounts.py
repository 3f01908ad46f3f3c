"""Accounts: what holds a user's money."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from .base import StateEvent
from .topics import ACCOUNTS_EVENTS, Topic
from .values import Name, Timestamp


class AccountType(StrEnum):
    """Only PORTFOLIO accounts can be configured."""

    TRADING = "TRADING"
    PORTFOLIO = "PORTFOLIO"


class AccountStatus(StrEnum):
    """Only ACTIVE accounts can be configured and take orders; CLOSED is final."""

    PENDING_APPROVAL = "PENDING_APPROVAL"
    ACTIVE = "ACTIVE"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    LOCKED = "LOCKED"


class AccountState(StateEvent):
    """The whole account after a change."""

    topic: ClassVar[Topic] = ACCOUNTS_EVENTS
    key_field: ClassVar[str] = "account_id"

    account_id: UUID = Field(description="The account")
    user_id: UUID = Field(description="The user whose money it holds")
    type: AccountType = Field(description="What the account is for")
    status: AccountStatus = Field(description="Whether it may be used")
    name: Name | None = Field(description="What the client calls it")
    portfolio_id: UUID | None = Field(description="The ledger portfolio that it belongs to")
    created_at: Timestamp = Field(description="When the account was opened")
    updated_at: Timestamp = Field(description="When it last changed")


class AccountCreated(AccountState):
    """An account was opened."""


class AccountUpdated(AccountState):
    """An account's status, name or portfolio changed."""
