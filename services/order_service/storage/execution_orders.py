"""Execution orders as sets: made, and cancelled with their portfolio or their execution."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import RebalancingCancellationReason

from ..domain import Execution, PlannedOrder
from .announcements import ANNOUNCE, BaseHeaders

#: Cancels the NEW execution orders of accounts, those of one execution or of any, and announces each.
_CANCEL = text(
    f"""
    WITH stopped AS (
        SELECT account_id, shard, headers::jsonb AS headers
        FROM unnest(CAST(:accounts AS uuid[]), CAST(:shards AS smallint[]), CAST(:headers AS text[]))
             AS s(account_id, shard, headers)),
    o AS (
        UPDATE orders SET status = 'CANCELLED', updated_at = statement_timestamp(),
               cancelled_at = statement_timestamp(), cancellation_reason = :reason
        FROM stopped
        WHERE orders.account_id = stopped.account_id AND orders.status = 'NEW' AND orders.kind = 'REBALANCING'
          AND (CAST(:execution_id AS uuid) IS NULL OR orders.execution_id = :execution_id)
        RETURNING orders.*)
    {ANNOUNCE} FROM o JOIN stopped AS because USING (account_id)
    """  # noqa: S608 - made of constants
)

#: The accounts whose NEW execution orders a blocked portfolio stops: those of portfolios that were blocked, and named
#: ones whose portfolio is blocked. All of them are locked, and no order can be made for any of them meanwhile.
_STOPPED_BY_PORTFOLIOS = text(
    """
    SELECT DISTINCT account_id, portfolio_id FROM accounts JOIN orders USING (account_id)
    WHERE (portfolio_id = ANY(CAST(:portfolios AS uuid[]))
           OR (account_id = ANY(CAST(:accounts AS uuid[])) AND portfolio_blocked))
      AND orders.status = 'NEW' AND orders.kind = 'REBALANCING'
    """
)

#: Makes the orders of an execution, and announces those whose account is the client's.
_MAKE = text(
    f"""
    WITH planned AS (
        SELECT id, account_id, allocation_id, version, refusal, announced, shard
        FROM unnest(CAST(:ids AS uuid[]), CAST(:accounts AS uuid[]), CAST(:allocations AS uuid[]),
                    CAST(:versions AS bigint[]), CAST(:refusals AS text[]), CAST(:announced AS boolean[]),
                    CAST(:shards AS smallint[]))
             AS p(id, account_id, allocation_id, version, refusal, announced, shard)),
    o AS (
        INSERT INTO orders (id, client_id, account_id, allocation_id, configuration_version, kind, execution_id, status,
                            cancellation_reason, created_at, updated_at, cancelled_at)
        SELECT id, :client_id, account_id, allocation_id, version, 'REBALANCING', :execution_id,
               CASE WHEN refusal IS NULL THEN 'NEW' ELSE 'CANCELLED' END, refusal, statement_timestamp(),
               statement_timestamp(), CASE WHEN refusal IS NULL THEN NULL ELSE statement_timestamp() END
        FROM planned
        RETURNING *)
    {ANNOUNCE} FROM o JOIN (
        SELECT id, shard, CAST(:headers AS jsonb) AS headers FROM planned WHERE announced) AS because USING (id)
    """  # noqa: S608 - made of constants
)


@dataclass(frozen=True)
class Stopped:
    """An account whose NEW execution orders are to be cancelled, and how that is announced."""

    account_id: UUID
    announced_with: BaseHeaders


async def cancel(
    connection: AsyncConnection,
    stopped: Sequence[Stopped],
    reason: RebalancingCancellationReason,
    execution_id: UUID | None = None,
) -> int:
    """Cancel and announce the NEW execution orders of locked accounts, of one execution or any; answers how many."""
    cancelled = await connection.execute(
        _CANCEL,
        {
            "accounts": [each.account_id for each in stopped],
            "shards": [each.announced_with.shard for each in stopped],
            "headers": [each.announced_with.headers for each in stopped],
            "reason": reason,
            "execution_id": execution_id,
        },
    )
    return cancelled.rowcount


async def stopped_by_portfolios(
    connection: AsyncConnection, portfolios: Sequence[UUID], accounts: Sequence[UUID]
) -> dict[UUID, UUID]:
    """The accounts with NEW execution orders that `portfolios` stop, or named ones that theirs does: account -> it."""
    rows = await connection.execute(_STOPPED_BY_PORTFOLIOS, {"portfolios": portfolios, "accounts": accounts})
    return {row.account_id: row.portfolio_id for row in rows}


async def make(
    connection: AsyncConnection,
    execution: Execution,
    planned: Sequence[PlannedOrder],
    shards: Sequence[int],
    headers: str,
) -> None:
    """Store orders of an execution and announce them; `shards` are those of their accounts, in the order of `planned`.

    `headers` (JSON) are what the events have in common.
    """
    await connection.execute(
        _MAKE,
        {
            "client_id": execution.client_id,
            "execution_id": execution.id,
            "headers": headers,
            "ids": [order.id for order in planned],
            "accounts": [order.account_id for order in planned],
            "allocations": [order.allocation_id for order in planned],
            "versions": [order.configuration_version for order in planned],
            "refusals": [order.refusal for order in planned],
            "announced": [order.announced for order in planned],
            "shards": list(shards),
        },
    )
