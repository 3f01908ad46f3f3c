"""The copy of ledger portfolios: whether each is blocked, which its accounts' own rows are told.

Whoever decides on an account locks its row alone and reads there what its portfolio allows. So whoever writes that
there locks the portfolio first, then the accounts: a portfolio's own event for the update, an account's event that
names one for the share.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: Makes stubs of those that nobody has heard of, so that there is a row to lock.
_MAKE_STUBS = text(
    """
    INSERT INTO portfolios (portfolio_id)
    SELECT DISTINCT portfolio_id FROM unnest(CAST(:portfolios AS uuid[])) AS named(portfolio_id) ORDER BY portfolio_id
    ON CONFLICT DO NOTHING
    """
)

_LOCK = """
    SELECT portfolio_id FROM portfolios WHERE portfolio_id = ANY(CAST(:portfolios AS uuid[])) ORDER BY portfolio_id
"""
_LOCK_TO_READ = text(f"{_LOCK} FOR SHARE")
_LOCK_TO_WRITE = text(f"{_LOCK} FOR NO KEY UPDATE")

#: Applies the newest states, as those of accounts are. Answers the portfolios that were blocked by it, or by a state
#: before the newest that is newer than what was known: whoever takes them together must not leave a blocking out.
_APPLY = text(
    """
    UPDATE portfolios SET revision = s.revision, blocked = s.blocked, quarantined = NULL
    FROM unnest(CAST(:portfolios AS uuid[]), CAST(:revisions AS bigint[]), CAST(:blocked AS boolean[]),
                CAST(:blocked_last AS bigint[])) AS s(portfolio_id, revision, blocked, blocked_last)
         JOIN portfolios AS before USING (portfolio_id)
    WHERE portfolios.portfolio_id = s.portfolio_id AND portfolios.revision < s.revision
    RETURNING portfolios.portfolio_id, before.revision < s.blocked_last AS was_blocked
    """
)

_QUARANTINE = text(
    """
    INSERT INTO portfolios (portfolio_id, quarantined)
    SELECT portfolio_id, reason
    FROM unnest(CAST(:portfolios AS uuid[]), CAST(:reasons AS text[])) AS lost(portfolio_id, reason)
    ORDER BY portfolio_id
    ON CONFLICT (portfolio_id) DO UPDATE SET quarantined = excluded.quarantined
    """
)

#: A redriven event that can be read by now, but says nothing new, has left no hole.
_LIFT = text(
    """
    UPDATE portfolios SET quarantined = NULL
    FROM unnest(CAST(:portfolios AS uuid[]), CAST(:reasons AS text[])) AS lost(portfolio_id, reason)
    WHERE portfolios.portfolio_id = lost.portfolio_id AND portfolios.quarantined = lost.reason
    """
)

#: Tells the accounts of portfolios what these are now; those that know already are left alone.
_TELL_ACCOUNTS = text(
    """
    WITH told AS (
        SELECT account_id, p.blocked, p.quarantined
        FROM portfolios AS p JOIN accounts AS a USING (portfolio_id)
        WHERE p.portfolio_id = ANY(CAST(:portfolios AS uuid[]))
          AND (a.portfolio_blocked, a.portfolio_quarantined) IS DISTINCT FROM (p.blocked, p.quarantined)
        ORDER BY account_id FOR NO KEY UPDATE OF a)
    UPDATE accounts SET portfolio_blocked = told.blocked, portfolio_quarantined = told.quarantined
    FROM told WHERE accounts.account_id = told.account_id
    """
)


@dataclass(frozen=True)
class BlockingState:
    """What the newest state of a portfolio says."""

    portfolio_id: UUID
    revision: int
    blocked: bool
    #: the revision of the last state that blocked it, among those that came together; 0 if none did
    blocked_last: int


async def hold(connection: AsyncConnection, portfolios: Iterable[UUID], *, to_write: bool) -> None:
    """Lock the portfolios, known or not, until the transaction ends; those that are only read may be read by others."""
    named = {"portfolios": list(portfolios)}
    await connection.execute(_MAKE_STUBS, named)
    await connection.execute(_LOCK_TO_WRITE if to_write else _LOCK_TO_READ, named)


async def apply(connection: AsyncConnection, states: Sequence[BlockingState]) -> list[UUID]:
    """Apply states, at most one for each portfolio, and tell the accounts; answers the portfolios that were blocked."""
    rows = await connection.execute(
        _APPLY,
        {
            "portfolios": [state.portfolio_id for state in states],
            "revisions": [state.revision for state in states],
            "blocked": [state.blocked for state in states],
            "blocked_last": [state.blocked_last for state in states],
        },
    )
    applied = {row.portfolio_id: row.was_blocked for row in rows}
    await _tell_accounts(connection, applied)
    return [portfolio_id for portfolio_id, was_blocked in applied.items() if was_blocked]


async def quarantine(connection: AsyncConnection, reasons: Mapping[UUID, str]) -> None:
    """Mark the portfolios, and so their accounts, as not to be trusted until something newer is applied."""
    await connection.execute(_QUARANTINE, _named(reasons))
    await _tell_accounts(connection, reasons)


async def lift_quarantine(connection: AsyncConnection, reasons: Mapping[UUID, str]) -> None:
    """Trust the portfolios again that were quarantined for exactly these reasons."""
    await connection.execute(_LIFT, _named(reasons))
    await _tell_accounts(connection, reasons)


async def _tell_accounts(connection: AsyncConnection, portfolios: Iterable[UUID]) -> None:
    if named := list(portfolios):
        await connection.execute(_TELL_ACCOUNTS, {"portfolios": named})


def _named(reasons: Mapping[UUID, str]) -> dict[str, list[object]]:
    return {"portfolios": list(reasons), "reasons": list(reasons.values())}
