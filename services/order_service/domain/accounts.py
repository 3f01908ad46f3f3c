"""The copy of an account: what is known of it here, and what that allows."""

from dataclasses import dataclass
from uuid import UUID

from shared.contracts import AccountStatus, AccountType, RebalancingCancellationReason

from .refusals import (
    AccountCannotTakeOrders,
    AccountNotActive,
    AccountNotFound,
    AccountNotTrustworthy,
    ConfigurationMissing,
    ConfigurationNotKnownYet,
    ConfigurationOutdated,
    PortfolioBlocked,
)


@dataclass(frozen=True)
class AccountCopy:
    """An account as far as its events have been applied; a stub while only its id is known."""

    account_id: UUID
    client_id: UUID | None = None
    type: AccountType | None = None
    status: AccountStatus | None = None
    configured: bool = False
    allocation_id: UUID | None = None
    #: of the newest configuration heard of, deleted or not; 0 before the first
    configuration_version: int = 0
    #: why its account events cannot be trusted, None while they can
    account_quarantined: str | None = None
    #: the same of its configuration events
    configuration_quarantined: str | None = None
    #: whether its ledger portfolio, if it has one, is BLOCKED
    portfolio_blocked: bool = False
    #: the same of its portfolio's events, which may not have been heard of at all yet
    portfolio_quarantined: str | None = None

    def belongs_to(self, client_id: UUID) -> bool:
        """Whether the client may know of it; an account without a type has only been heard of."""
        return self.client_id == client_id and self.type is not None

    def is_trustworthy_to(self, client_id: UUID) -> bool:
        """Whether every event was read of what decides on the account, if it may be this client's at all."""
        quarantines = (self.account_quarantined, self.configuration_quarantined, self.portfolio_quarantined)
        return not any(quarantines) or self.client_id not in (None, client_id)


def cancellation_bound(version: int, *, configured: bool) -> int:
    """The newest version that a configuration event proves to be deleted (promise P4).

    A deletion proves its own; any other event proves all versions below its own, because compaction or a long outage
    may have eaten their deletions.
    """
    return version - 1 if configured else version


def check_takes_orders(account: AccountCopy | None, client_id: UUID, named_version: int | None) -> AccountCopy:
    """Give the account, or raise the refusal that stands against placing a portfolio order on it.

    `named_version` is the configuration that the caller has in mind, if any.
    """
    if account is not None and not account.is_trustworthy_to(client_id):
        raise AccountNotTrustworthy
    if account is None or not account.belongs_to(client_id):
        # Who names a version was told of it, so that the account is there, and only not heard of here yet. Of another
        # client's account the same is said.
        raise AccountNotFound if named_version is None else ConfigurationNotKnownYet
    if account.type is not AccountType.PORTFOLIO:
        raise AccountCannotTakeOrders
    if named_version is not None:
        _check_version(named_version, account.configuration_version)
    if account.status is not AccountStatus.ACTIVE:
        raise AccountNotActive(f"The account is {account.status}, not ACTIVE.")
    if account.portfolio_blocked:
        raise PortfolioBlocked
    if not account.configured:
        raise ConfigurationMissing
    return account


def _check_version(named: int, current: int) -> None:
    if named < current:
        raise ConfigurationOutdated(
            f"The account's configuration is of version {current}, which is newer than {named}."
        )
    if named > current:
        raise ConfigurationNotKnownYet


def rebalancing_refusal(account: AccountCopy | None, client_id: UUID) -> RebalancingCancellationReason | None:
    """Why an account cannot be rebalanced, None if it can; a foreign account is not found, as an unknown one is."""
    if account is None or not account.belongs_to(client_id):
        return RebalancingCancellationReason.ACCOUNT_NOT_FOUND
    if account.type is not AccountType.PORTFOLIO:
        return RebalancingCancellationReason.INVALID_ACCOUNT_TYPE
    if account.status is not AccountStatus.ACTIVE or account.portfolio_blocked:
        return RebalancingCancellationReason.INVALID_ACCOUNT_STATUS
    if not account.configured:
        return RebalancingCancellationReason.CONFIGURATION_IS_MISSING
    return None
