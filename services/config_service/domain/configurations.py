"""Configurations: the link from an account to its allocation."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.kit.refusals import Conflict, NotFound

from .accounts import Account, AccountNotFound, refuse_unless_configurable
from .allocations import AllocationNotFound


@dataclass(frozen=True)
class Configuration:
    """The link from an account to its allocation; once deleted it stays as the memory of version and revision."""

    account_id: UUID
    allocation_id: UUID
    version: int
    revision: int
    configured: bool
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True)
class Standing:
    """An account, and the allocation that it is configured with, if it is."""

    configured_with: UUID | None
    account: Account


class ConfigurationNotFound(NotFound):
    """The account has no configuration."""


class AccountAlreadyConfigured(Conflict):
    """The account has a configuration already; delete it before configuring the account anew."""


def check_configurable(standing: Standing | None, *, allocation_known: bool) -> None:
    """Raise the refusal that stands against configuring the account (None: the client has none of that id).

    Raises AccountNotFound, AllocationNotFound, AccountNotForPortfolios, AccountNotActive, AccountAlreadyConfigured.
    """
    if standing is None:
        raise AccountNotFound
    if not allocation_known:
        raise AllocationNotFound
    refuse_unless_configurable(standing.account)
    if standing.configured_with is not None:
        raise AccountAlreadyConfigured


def check_changeable(standing: Standing | None, *, allocation_known: bool) -> None:
    """Raise the refusal that stands against giving the account's configuration another allocation.

    Raises ConfigurationNotFound, AllocationNotFound, AccountNotActive.
    """
    check_deletable(standing)
    if not allocation_known:
        raise AllocationNotFound
    if standing is not None:
        refuse_unless_configurable(standing.account)


def check_deletable(standing: Standing | None) -> None:
    """Raise ConfigurationNotFound unless the account has a configuration."""
    if standing is None or standing.configured_with is None:
        raise ConfigurationNotFound
