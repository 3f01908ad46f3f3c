"""Accounts: what becomes of them, and which may be configured."""

from dataclasses import dataclass, replace
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

    @property
    def portfolio_named(self) -> UUID | None:
        """The ledger portfolio that the account is to belong to from now on, if the change names one."""
        return None if self.portfolio_id is UNCHANGED else self.portfolio_id


@dataclass(frozen=True)
class AccountFilter:
    """Which of a client's accounts are asked for; None means any."""

    status: AccountStatus | None = None
    type: AccountType | None = None
    user_id: UUID | None = None
    portfolio_id: UUID | None = None

    @property
    def named(self) -> dict[str, object]:
        """What is asked for, by the account's field."""
        return {field: value for field, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class ConfiguredAccount:
    """An account, with the configuration that it has now."""

    account: Account
    configuration_version: int
    configured_at: datetime


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


def changed(account: Account, change: AccountChange, *, configured: bool) -> Account:
    """Give the account as it will be, but for its revision; raises AccountClosed or AccountStillConfigured."""
    return replace(
        account,
        status=status_after(account, change, configured=configured),
        name=account.name if change.name is UNCHANGED else change.name,
        portfolio_id=account.portfolio_id if change.portfolio_id is UNCHANGED else change.portfolio_id,
    )


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
