"""Accounts: what becomes of them, and which may be configured."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from shared.contracts import AccountStatus, AccountType
from shared.kit.refusals import Conflict, NotFound, Unprocessable


class Unchanged(Enum):
    """Marks what a change leaves as it is, where None means something."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True)
class Account:
    """What holds a user's money."""

    account_id: UUID
    user_id: UUID
    type: AccountType
    status: AccountStatus
    name: str | None
    portfolio_id: UUID | None
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class NewAccount:
    """What a client asks for when it opens an account."""

    user_id: UUID
    type: AccountType
    name: str | None = None
    status: AccountStatus = AccountStatus.ACTIVE
    portfolio_id: UUID | None = None


@dataclass(frozen=True)
class AccountChange:
    """What a client asks to be changed of an account; a name of None takes the name away."""

    status: AccountStatus | Unchanged = UNCHANGED
    name: str | Unchanged | None = UNCHANGED
    portfolio_id: UUID | Unchanged | None = UNCHANGED


class AccountNotFound(NotFound):
    """There is no such account."""


class PortfolioNotFound(NotFound):
    """There is no such portfolio."""


class AccountClosed(Conflict):
    """The account is closed, which is final."""


class AccountStillConfigured(Conflict):
    """The account still has a configuration; delete that before closing the account."""


class AccountNotForPortfolios(Unprocessable):
    """Only accounts of type PORTFOLIO can be configured."""


class AccountNotActive(Unprocessable):
    """Only accounts that are ACTIVE can be configured."""


def status_after(account: Account, change: AccountChange, *, configured: bool) -> AccountStatus:
    """Give the status that the account takes; raises AccountClosed or AccountStillConfigured."""
    if change.status is UNCHANGED or change.status == account.status:
        return account.status
    if account.status == AccountStatus.CLOSED:
        raise AccountClosed
    if change.status == AccountStatus.CLOSED and configured:
        raise AccountStillConfigured
    return change.status


def refuse_unless_configurable(account: Account) -> None:
    """Raise AccountNotForPortfolios or AccountNotActive unless the account may have a configuration."""
    if account.type != AccountType.PORTFOLIO:
        raise AccountNotForPortfolios
    if account.status != AccountStatus.ACTIVE:
        raise AccountNotActive
