"""Rebalancing executions, and the accounts whose orders are still to be made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, column, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import OrderStatus
from shared.kit.listing import page_of as listed
from shared.kit.paging import Page, Part

from ..domain import Execution, ExecutionAlreadyRequested, ExecutionNotFound, Progress, Targets

_INSERT = text(
    """
    INSERT INTO rebalancing_executions (client_id, id, created_at, due_at, announced_with)
    VALUES (:client_id, :id, statement_timestamp(), statement_timestamp(), CAST(:headers AS jsonb))
    ON CONFLICT DO NOTHING RETURNING client_id, id, created_at, cancelled_at
    """
)

#: Notes the accounts that an execution is for, named twice or not, or served by its allocations at this moment.
_AIM_AT = text(
    """
    INSERT INTO rebalancing_targets (client_id, execution_id, account_id)
    SELECT CAST(:client_id AS uuid), CAST(:id AS uuid), account_id
    FROM unnest(CAST(:accounts AS uuid[])) AS named(account_id)
    UNION
    SELECT CAST(:client_id AS uuid), CAST(:id AS uuid), account_id FROM accounts
    WHERE configured AND allocation_id = ANY(CAST(:allocations AS uuid[])) AND client_id = :client_id
    """
)

_FIND = text(
    """
    SELECT client_id, id, created_at, cancelled_at FROM rebalancing_executions
    WHERE client_id = :client_id AND id = :id
    """
)

_COUNT = text(
    """
    SELECT 'pending' AS what, count(*) AS many FROM rebalancing_targets
    WHERE client_id = :client_id AND execution_id = :id
    UNION ALL
    SELECT status, count(*) FROM orders WHERE client_id = :client_id AND execution_id = :id GROUP BY status
    """
)

#: Takes a share of an execution's accounts to make their orders; accounts that cannot be trusted wait until they can.
#: Others who take of the same execution get other accounts, or wait until these have their orders. The rows are locked,
#: so they stay where they stand; by their ids they would be joined, on a table of which the planner knows too little.
_TAKE = {
    waits: text(
        f"""
        WITH taken AS MATERIALIZED (
            SELECT waiting.ctid FROM rebalancing_targets AS waiting
            WHERE client_id = :client_id AND execution_id = :id AND NOT EXISTS (
                SELECT FROM accounts AS a
                WHERE a.account_id = waiting.account_id AND coalesce(a.client_id, waiting.client_id) = waiting.client_id
                  AND num_nonnulls(account_quarantined, configuration_quarantined, portfolio_quarantined) > 0)
            ORDER BY account_id LIMIT :at_most FOR UPDATE OF waiting {"" if waits else "SKIP LOCKED"})
        DELETE FROM rebalancing_targets WHERE ctid = ANY(ARRAY(SELECT ctid FROM taken)) RETURNING account_id
        """  # noqa: S608 - made of constants
    )
    for waits in (False, True)
}

_PUT_BACK = text(
    """
    INSERT INTO rebalancing_targets (client_id, execution_id, account_id)
    SELECT :client_id, :id, account_id FROM unnest(CAST(:accounts AS uuid[])) AS untrusted(account_id)
    """
)

#: Keeps an execution from being cancelled between this look at it and the commit of the orders that are made of it.
_LOCK_TO_MAKE = text(
    """
    SELECT cancelled_at, announced_with::text AS announced_with FROM rebalancing_executions
    WHERE client_id = :client_id AND id = :id FOR SHARE
    """
)

#: From the commit of this on, no order of the execution is made NEW; cancelling it again changes nothing.
_CANCEL = text(
    """
    UPDATE rebalancing_executions
    SET cancelled_at = coalesce(cancelled_at, statement_timestamp()), due_at = statement_timestamp(),
        cancelled_with = coalesce(cancelled_with, CAST(:headers AS jsonb))
    WHERE client_id = :client_id AND id = :id
    RETURNING client_id, id, created_at, cancelled_at
    """
)

#: Some accounts with NEW orders of an execution that was cancelled.
_TO_CANCEL = text(
    """
    SELECT e.cancelled_with::text AS headers, array_agg(o.account_id) AS accounts
    FROM rebalancing_executions AS e, LATERAL (
        SELECT account_id FROM orders WHERE execution_id = e.id AND status = 'NEW' AND client_id = e.client_id
        ORDER BY created_at, id LIMIT :at_most) AS o
    WHERE e.client_id = :client_id AND e.id = :id AND e.cancelled_at IS NOT NULL
    GROUP BY e.client_id, e.id
    """
)

_DUE = text(
    """
    SELECT client_id, id, created_at, cancelled_at, due_at FROM rebalancing_executions
    WHERE due_at <= statement_timestamp() ORDER BY due_at LIMIT 1
    """
)

#: Gives an execution its next turn, or none once nothing is left to do. What it asks of other tables may be older than
#: the row that it waited for, which does no harm: then there is something left.
_NEXT_TURN = """
    UPDATE rebalancing_executions AS e
    SET due_at = CASE WHEN EXISTS (
                            SELECT FROM rebalancing_targets AS t
                            WHERE t.client_id = e.client_id AND t.execution_id = e.id)
                        OR (e.cancelled_at IS NOT NULL AND EXISTS (
                            SELECT FROM orders AS o
                            WHERE o.execution_id = e.id AND o.status = 'NEW' AND o.client_id = e.client_id))
                      THEN statement_timestamp() + make_interval(secs => :seconds) END
    WHERE client_id = :client_id AND id = :id
"""
_COME_AGAIN = text(_NEXT_TURN)

#: Whoever found nothing to do leaves alone what somebody has made due since it looked: a cancellation, or another's
#: share. Which of them was first no time would tell, since a cancellation may have begun, and waited, before the look.
_PUT_OFF = text(f"{_NEXT_TURN} AND due_at = :seen")

_EXECUTIONS = table(
    "rebalancing_executions", column("client_id"), column("id"), column("created_at"), column("cancelled_at")
)


@dataclass(frozen=True)
class Due:
    """An execution whose turn it is, and since when: another turn has another time."""

    execution: Execution
    at: datetime


@dataclass(frozen=True)
class ToMake:
    """What there is to know of an execution whose orders are made."""

    cancelled: bool
    #: the headers that the events of its orders have in common, as JSON
    headers: str


@dataclass(frozen=True)
class ToCancel:
    """Accounts whose orders of a cancelled execution are still NEW, and what their events have in common."""

    accounts: Sequence[UUID]
    headers: str


async def insert(connection: AsyncConnection, client_id: UUID, execution_id: UUID, headers: str) -> Execution:
    """Store an execution; raises ExecutionAlreadyRequested if the client has one with this id.

    `headers` (JSON) are what the events of its orders will have in common.
    """
    asked = {"client_id": client_id, "id": execution_id, "headers": headers}
    row = (await connection.execute(_INSERT, asked)).one_or_none()
    if row is None:
        raise ExecutionAlreadyRequested
    return _execution_of(row)


async def aim_at(connection: AsyncConnection, execution: Execution, targets: Targets) -> None:
    """Note the accounts for which an execution is to make orders."""
    aimed = {"accounts": list(targets.accounts), "allocations": list(targets.allocations)}
    await connection.execute(_AIM_AT, _named(execution) | aimed)


async def find(connection: AsyncConnection, client_id: UUID, execution_id: UUID) -> Execution:
    """Give the client's execution; raises ExecutionNotFound."""
    row = (await connection.execute(_FIND, {"client_id": client_id, "id": execution_id})).one_or_none()
    if row is None:
        raise ExecutionNotFound
    return _execution_of(row)


async def progress_of(connection: AsyncConnection, execution: Execution) -> Progress:
    """Count what an execution has made, and what it has not."""
    counts = {row.what: row.many for row in await connection.execute(_COUNT, _named(execution))}
    pending = counts.pop("pending")
    return Progress(execution, pending, {OrderStatus(status): count for status, count in counts.items()})


async def page_of(connection: AsyncConnection, client_id: UUID, page: Page) -> Part[Execution]:
    """A part of the client's executions."""
    theirs = _EXECUTIONS.select().where(_EXECUTIONS.c.client_id == client_id)
    part = await listed(connection, theirs, page, id_column="id")
    return part.of(lambda row: Execution(**row))


async def take_targets(connection: AsyncConnection, execution: Execution, *, at_most: int, waits: bool) -> list[UUID]:
    """Take accounts that are still to get their orders, which the caller makes in this transaction; in no order.

    Those that others have taken are passed over, or waited for.
    """
    taken = await connection.execute(_TAKE[waits], _named(execution) | {"at_most": at_most})
    return list(taken.scalars())


async def put_back(connection: AsyncConnection, execution: Execution, accounts: Sequence[UUID]) -> None:
    """Give accounts back that were taken and cannot get their orders now."""
    await connection.execute(_PUT_BACK, _named(execution) | {"accounts": list(accounts)})


async def lock_to_make(connection: AsyncConnection, execution: Execution) -> ToMake:
    """Lock an execution against its cancellation, after the accounts; it may have been cancelled before."""
    row = (await connection.execute(_LOCK_TO_MAKE, _named(execution))).one()
    return ToMake(row.cancelled_at is not None, row.announced_with)


async def cancel(connection: AsyncConnection, client_id: UUID, execution_id: UUID, headers: str) -> Execution:
    """Mark the client's execution as cancelled; raises ExecutionNotFound.

    `headers` (JSON) are what the events of its cancelled orders will have in common.
    """
    asked = {"client_id": client_id, "id": execution_id, "headers": headers}
    row = (await connection.execute(_CANCEL, asked)).one_or_none()
    if row is None:
        raise ExecutionNotFound
    return _execution_of(row)


async def to_cancel(connection: AsyncConnection, execution: Execution, *, at_most: int) -> ToCancel | None:
    """Some of what is still NEW of an execution that was cancelled, if anything."""
    row = (await connection.execute(_TO_CANCEL, _named(execution) | {"at_most": at_most})).one_or_none()
    return None if row is None else ToCancel(row.accounts, row.headers)


async def due(connection: AsyncConnection) -> Due | None:
    """The execution that has waited longest to be worked on."""
    row = (await connection.execute(_DUE)).one_or_none()
    return None if row is None else Due(_execution_of(row), row.due_at)


async def come_again(connection: AsyncConnection, execution: Execution) -> None:
    """Let an execution have its next turn behind the others that are due; none if it is done."""
    await connection.execute(_COME_AGAIN, _named(execution) | {"seconds": 0})


async def put_off(connection: AsyncConnection, due: Due, *, seconds: float) -> None:
    """Let an execution wait that had nothing to do, for ever if it is done; one that is due anew by now stays so."""
    await connection.execute(_PUT_OFF, _named(due.execution) | {"seconds": seconds, "seen": due.at})


def _named(execution: Execution) -> dict[str, Any]:
    return {"client_id": execution.client_id, "id": execution.id}


def _execution_of(row: Row[Any]) -> Execution:
    return Execution(id=row.id, client_id=row.client_id, created_at=row.created_at, cancelled_at=row.cancelled_at)
