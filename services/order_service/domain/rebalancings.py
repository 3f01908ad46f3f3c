"""Rebalancing executions: one execution order for each account, cancelled at once where it cannot be done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contracts import RebalancingCancellationReason, new_id

from .accounts import AccountCopy, rebalancing_refusal


@dataclass(frozen=True)
class Targets:
    """Which accounts to rebalance: these, or all that are configured with one of these allocations."""

    accounts: tuple[UUID, ...] = ()
    allocations: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Execution:
    """A request to bring accounts back to their target."""

    id: UUID
    client_id: UUID
    created_at: datetime


@dataclass(frozen=True)
class PlannedOrder:
    """An execution order to be made."""

    id: UUID
    account_id: UUID
    allocation_id: UUID | None
    configuration_version: int | None
    #: why it is cancelled at once; None if it is NEW
    refusal: RebalancingCancellationReason | None

    @property
    def announced(self) -> bool:
        """Whether its event may be published: never under the key of an account that is not the client's."""
        return self.refusal is not RebalancingCancellationReason.ACCOUNT_NOT_FOUND


def planned_orders(accounts: Iterable[UUID], known: Mapping[UUID, AccountCopy], client_id: UUID) -> list[PlannedOrder]:
    """One order for each of `accounts`, named twice or not; `known` are the copies of those that exist.

    Raises AccountNotTrustworthy if one of them is quarantined.
    """
    return [_planned(account_id, known.get(account_id), client_id) for account_id in dict.fromkeys(accounts)]


def _planned(account_id: UUID, account: AccountCopy | None, client_id: UUID) -> PlannedOrder:
    if account is not None:
        account.check_trustworthy(client_id)
    refusal = rebalancing_refusal(account, client_id)
    if account is None or refusal is RebalancingCancellationReason.ACCOUNT_NOT_FOUND:
        return PlannedOrder(new_id(), account_id, None, None, refusal)
    # A refused one carries the last version as well: what is announced of it belongs to that configuration.
    return PlannedOrder(new_id(), account_id, account.allocation_id, account.configuration_version or None, refusal)
