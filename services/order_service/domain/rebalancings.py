"""Rebalancing executions: one execution order for each account, cancelled at once where it cannot be done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contracts import OrderStatus, RebalancingCancellationReason, new_id

from .accounts import AccountCopy, rebalancing_refusal
from .refusals import ReasonNotUpstreams

_BY_CLIENT = RebalancingCancellationReason.CANCELLED_BY_CLIENT


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
    #: when its client cancelled what was still NEW of it
    cancelled_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How far an execution has come."""

    execution: Execution
    #: accounts whose orders are still to be made
    pending: int
    #: how many of its orders stand where; what none stands in may be left out
    by_status: Mapping[OrderStatus, int]


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


def planned_orders(
    accounts: Iterable[UUID], known: Mapping[UUID, AccountCopy], client_id: UUID, *, cancelled: bool = False
) -> list[PlannedOrder]:
    """One order for each of `accounts`; `known` are the copies of those that exist, all of them trustworthy.

    `cancelled` says that the client has cancelled the execution before they were made.
    """
    otherwise = _BY_CLIENT if cancelled else None
    return [_planned(account_id, known.get(account_id), client_id, otherwise) for account_id in accounts]


def _planned(
    account_id: UUID, account: AccountCopy | None, client_id: UUID, otherwise: RebalancingCancellationReason | None
) -> PlannedOrder:
    refusal = rebalancing_refusal(account, client_id) or otherwise
    if account is None or refusal is RebalancingCancellationReason.ACCOUNT_NOT_FOUND:
        return PlannedOrder(new_id(), account_id, None, None, refusal)
    # A refused one carries the last version as well: what is announced of it belongs to that configuration.
    return PlannedOrder(new_id(), account_id, account.allocation_id, account.configuration_version or None, refusal)


def check_found_upstream(reason: str | None) -> None:
    """Raise ReasonNotUpstreams if upstream gives a reason for a cancellation that is not its own to give."""
    if reason == _BY_CLIENT:
        raise ReasonNotUpstreams
