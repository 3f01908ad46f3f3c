"""The copy of accounts: one row for each, which is its lock as well."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import (
    ACCOUNTS_EVENTS,
    CONFIGURATIONS_EVENTS,
    AccountState,
    AccountStatus,
    AccountType,
    ConfigurationState,
)

from ..domain import AccountCopy

_COLUMNS = """
    account_id, client_id, type, status, configured, allocation_id, configuration_version, account_quarantined,
    configuration_quarantined, portfolio_blocked, portfolio_quarantined
"""

_NAMED = "SELECT account_id FROM unnest(CAST(:accounts AS uuid[])) AS named(account_id)"

#: The accounts of held portfolios that are to be told something new.
_TOLD = """
    SELECT account_id
    FROM unnest(CAST(:portfolios AS uuid[]), CAST(:blocked AS boolean[])) AS s(portfolio_id, blocked)
         JOIN accounts USING (portfolio_id)
    WHERE s.blocked OR portfolio_blocked OR portfolio_quarantined IS NOT NULL
"""


def _holding(accounts: str) -> TextClause:
    """Lock the accounts in the order of their ids, making stubs of those that nobody has heard of.

    The update never happens: DO UPDATE locks the row before its WHERE is asked, and sees a row that another transaction
    has just made, which a SELECT after a DO NOTHING in the same statement would not.
    """
    return text(
        f"""
        INSERT INTO accounts (account_id)
        SELECT DISTINCT account_id FROM ({accounts}) AS a ORDER BY account_id
        ON CONFLICT (account_id) DO UPDATE SET account_revision = accounts.account_revision WHERE false
        """  # noqa: S608 - made of constants
    )


_HOLD = _holding(_NAMED)
_HOLD_WITH_TOLD = _holding(f"{_NAMED} UNION ALL {_TOLD}")

#: Locks accounts that are known, in the order of their ids.
_LOCK = text(
    f"""
    SELECT {_COLUMNS} FROM accounts WHERE account_id = ANY(CAST(:accounts AS uuid[]))
    ORDER BY account_id FOR NO KEY UPDATE
    """  # noqa: S608 - made of constants
)

#: Locks the account of an order.
_LOCK_OF_ORDER = text(
    """
    SELECT account_id FROM accounts
    WHERE account_id = (SELECT account_id FROM orders WHERE id = :order_id AND client_id = :client_id)
    FOR NO KEY UPDATE
    """
)

#: Applies the newest account states: a smaller or equal revision changes nothing, so copies and rebuilds are harmless.
#: What the portfolio that an account names allows is taken from its row, which is locked.
_APPLY_ACCOUNTS = text(
    """
    UPDATE accounts SET client_id = s.client_id, type = s.type, status = s.status, account_revision = s.revision,
                        account_quarantined = NULL, portfolio_id = s.portfolio_id,
                        portfolio_blocked = coalesce(p.blocked, false), portfolio_quarantined = p.quarantined
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:clients AS uuid[]), CAST(:types AS text[]), CAST(:statuses AS text[]),
                CAST(:portfolios AS uuid[]), CAST(:revisions AS bigint[]))
         AS s(account_id, client_id, type, status, portfolio_id, revision)
         LEFT JOIN portfolios AS p USING (portfolio_id)
    WHERE accounts.account_id = s.account_id AND accounts.account_revision < s.revision
    """
)

#: The same for configuration states.
_APPLY_CONFIGURATIONS = text(
    """
    UPDATE accounts SET client_id = s.client_id, configured = s.configured, allocation_id = s.allocation_id,
                        configuration_version = s.version, configuration_revision = s.revision,
                        configuration_quarantined = NULL
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:clients AS uuid[]), CAST(:configured AS boolean[]),
                CAST(:allocations AS uuid[]), CAST(:versions AS bigint[]), CAST(:revisions AS bigint[]))
         AS s(account_id, client_id, configured, allocation_id, version, revision)
    WHERE accounts.account_id = s.account_id AND accounts.configuration_revision < s.revision
    """
)

#: Marks what a topic tells of accounts as not to be trusted; stubs are made, because the unreadable event may be an
#: account's first. The newest reason stands.
_QUARANTINE = {
    topic.name: text(
        f"""
        INSERT INTO accounts (account_id, {column})
        SELECT account_id, reason
        FROM unnest(CAST(:accounts AS uuid[]), CAST(:reasons AS text[])) AS lost(account_id, reason) ORDER BY account_id
        ON CONFLICT (account_id) DO UPDATE SET {column} = excluded.{column}
        """  # noqa: S608 - made of constants
    )
    for topic, column in (
        (ACCOUNTS_EVENTS, "account_quarantined"),
        (CONFIGURATIONS_EVENTS, "configuration_quarantined"),
    )
}

#: A redriven event that can be read by now, but says nothing new, has left no hole.
_LIFT = text(
    """
    UPDATE accounts
    SET account_quarantined = nullif(account_quarantined, lost.reason),
        configuration_quarantined = nullif(configuration_quarantined, lost.reason)
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:reasons AS text[])) AS lost(account_id, reason)
    WHERE accounts.account_id = lost.account_id
      AND lost.reason IN (account_quarantined, configuration_quarantined)
    """
)

#: Whether every account has heard of a configuration version as new as the one that is asked about.
#: A version may be heard of before its account: the two are told of on two topics.
_KNOWN = text(
    """
    SELECT bool_and(coalesce(accounts.configuration_version, 0) >= asked.version AND accounts.type IS NOT NULL)
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:versions AS bigint[])) AS asked(account_id, version)
         LEFT JOIN accounts USING (account_id)
    """
)

_NOBODY: Mapping[UUID, bool] = MappingProxyType({})

StateT = TypeVar("StateT", AccountState, ConfigurationState)


@dataclass(frozen=True)
class OwnedState(Generic[StateT]):
    """A state and the client whose account it is of."""

    client_id: UUID
    state: StateT


async def hold(
    connection: AsyncConnection, accounts: Iterable[UUID], *, told_by: Mapping[UUID, bool] = _NOBODY
) -> None:
    """Lock the accounts, known or not, until the transaction ends.

    With them those of the portfolios `told_by`, which are held, that are to be told what each is, blocked or not.
    """
    if told_by:
        asked = {"accounts": list(accounts), "portfolios": list(told_by), "blocked": list(told_by.values())}
        await connection.execute(_HOLD_WITH_TOLD, asked)
    else:
        await connection.execute(_HOLD, {"accounts": list(accounts)})


async def lock(connection: AsyncConnection, accounts: Iterable[UUID]) -> dict[UUID, AccountCopy]:
    """Lock those of the accounts that are known; answers their copies."""
    rows = await connection.execute(_LOCK, {"accounts": list(accounts)})
    return {row.account_id: _copy_of(row) for row in rows}


async def lock_of_order(connection: AsyncConnection, client_id: UUID, order_id: UUID) -> None:
    """Lock the account of the client's order, if there is one."""
    await connection.execute(_LOCK_OF_ORDER, {"client_id": client_id, "order_id": order_id})


async def apply_accounts(connection: AsyncConnection, states: Sequence[OwnedState[AccountState]]) -> None:
    """Apply account states, at most one for each account."""
    await connection.execute(
        _APPLY_ACCOUNTS,
        {
            "accounts": [each.state.account_id for each in states],
            "clients": [each.client_id for each in states],
            "types": [each.state.type for each in states],
            "statuses": [each.state.status for each in states],
            "portfolios": [each.state.portfolio_id for each in states],
            "revisions": [each.state.revision for each in states],
        },
    )


async def apply_configurations(connection: AsyncConnection, states: Sequence[OwnedState[ConfigurationState]]) -> None:
    """Apply configuration states, at most one for each account."""
    await connection.execute(
        _APPLY_CONFIGURATIONS,
        {
            "accounts": [each.state.account_id for each in states],
            "clients": [each.client_id for each in states],
            "configured": [each.state.configured for each in states],
            "allocations": [each.state.allocation_id for each in states],
            "versions": [each.state.version for each in states],
            "revisions": [each.state.revision for each in states],
        },
    )


async def quarantine(connection: AsyncConnection, topic: str, reasons: Mapping[UUID, str]) -> None:
    """Mark what `topic` tells of the accounts as not to be trusted until something newer of it is applied."""
    asked = {"accounts": list(reasons), "reasons": list(reasons.values())}
    await connection.execute(_QUARANTINE[topic], asked)


async def lift_quarantine(connection: AsyncConnection, reasons: Mapping[UUID, str]) -> None:
    """Trust the accounts again that were quarantined for exactly these reasons."""
    await connection.execute(_LIFT, {"accounts": list(reasons), "reasons": list(reasons.values())})


async def known(connection: AsyncConnection, versions: Mapping[UUID, int]) -> bool:
    """Whether these configuration versions, by account, and the accounts themselves have been heard of."""
    asked = {"accounts": list(versions), "versions": list(versions.values())}
    return bool((await connection.execute(_KNOWN, asked)).scalar())


def _copy_of(row: Row[Any]) -> AccountCopy:
    return AccountCopy(
        account_id=row.account_id,
        client_id=row.client_id,
        type=AccountType(row.type) if row.type is not None else None,
        status=AccountStatus(row.status) if row.status is not None else None,
        configured=row.configured,
        allocation_id=row.allocation_id,
        configuration_version=row.configuration_version,
        account_quarantined=row.account_quarantined,
        configuration_quarantined=row.configuration_quarantined,
        portfolio_blocked=row.portfolio_blocked,
        portfolio_quarantined=row.portfolio_quarantined,
    )
