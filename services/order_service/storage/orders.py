"""Orders of both kinds: taken, moved, cancelled, listed. Statements that change a status say from where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import OrderKind, OrderSide, OrderStatus, new_id

from ..domain import (
    AccountCopy,
    Execution,
    Order,
    OrderNotFound,
    PlannedOrder,
    Transition,
    TransitionNotAllowed,
    WantedOrder,
)
from .announcements import ANNOUNCE, BaseHeaders

_NAMES = tuple(field.name for field in fields(Order))
_COLUMNS = ", ".join(_NAMES)

#: Takes an order under the configuration that its account, locked, has now.
_PLACE = text(
    f"""
    INSERT INTO orders (id, client_id, account_id, user_id, allocation_id, configuration_version, kind, side,
                        cash_amount, currency, client_reference, status, created_at, updated_at)
    VALUES (:id, :client_id, :account_id, :user_id, :allocation_id, :version, 'PORTFOLIO', :side,
            :cash_amount, :currency, :client_reference, 'NEW', statement_timestamp(), statement_timestamp())
    RETURNING {_COLUMNS}
    """  # noqa: S608 - made of constants
)

#: The columns that a transition to a status stamps.
_STAMPS: Mapping[OrderStatus, str] = {
    OrderStatus.PROCESSING: "processing_at",
    OrderStatus.FILLED: "filled_at",
    OrderStatus.SETTLED: "settled_at",
    OrderStatus.CANCELLED: "cancelled_at",
}

#: Moves one order if it stands where the transition may begin. `:account_id` is None where the caller names none.
_MOVE = {
    status: text(
        f"""
        UPDATE orders SET status = '{status}', cancellation_reason = CAST(:reason AS text),
                          updated_at = statement_timestamp(), {stamp} = statement_timestamp()
        WHERE id = :id AND client_id = :client_id AND kind = ANY(CAST(:kinds AS text[]))
          AND status = ANY(CAST(:allowed AS text[]))
          AND (CAST(:account_id AS uuid) IS NULL OR account_id = :account_id)
        RETURNING {_COLUMNS}
        """  # noqa: S608 - made of constants
    )
    for status, stamp in _STAMPS.items()
}

_FIND = text(f"SELECT {_COLUMNS} FROM orders WHERE id = :id AND client_id = :client_id")  # noqa: S608 - made of constants

#: Cancels the NEW orders of each account up to its bound, and announces each; one statement for any number of both.
#: Served by the index over NEW orders.
_CANCEL_UP_TO = text(
    f"""
    WITH bounds AS (
        SELECT account_id, bound, shard, headers::jsonb AS headers
        FROM unnest(CAST(:accounts AS uuid[]), CAST(:bounds AS bigint[]), CAST(:shards AS smallint[]),
                    CAST(:headers AS text[])) AS b(account_id, bound, shard, headers)),
    o AS (
        UPDATE orders SET status = 'CANCELLED', updated_at = statement_timestamp(),
               cancelled_at = statement_timestamp(),
               cancellation_reason = CASE orders.kind WHEN 'PORTFOLIO' THEN 'CONFIGURATION_DELETED'
                                                      ELSE 'CONFIGURATION_IS_MISSING' END
        FROM bounds
        WHERE orders.account_id = bounds.account_id AND orders.status = 'NEW'
          AND orders.configuration_version <= bounds.bound
        RETURNING orders.*)
    {ANNOUNCE} FROM o JOIN bounds AS because USING (account_id)
    """  # noqa: S608 - made of constants
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
               CASE WHEN refusal IS NULL THEN 'NEW' ELSE 'CANCELLED' END, refusal, CAST(:at AS timestamptz), :at,
               CASE WHEN refusal IS NULL THEN NULL ELSE CAST(:at AS timestamptz) END
        FROM planned
        RETURNING *)
    {ANNOUNCE} FROM o JOIN (
        SELECT id, shard, CAST(:headers AS jsonb) AS headers FROM planned WHERE announced) AS because USING (id)
    """  # noqa: S608 - made of constants
)


@dataclass(frozen=True)
class Bound:
    """Up to which version an account's NEW orders are to be cancelled, and how that is announced."""

    account_id: UUID
    version: int
    announced_with: BaseHeaders


@dataclass(frozen=True)
class Filters:
    """Which of a client's orders a list shows; None is no condition."""

    account_id: UUID | None = None
    allocation_id: UUID | None = None
    status: OrderStatus | None = None
    execution_id: UUID | None = None


async def place(connection: AsyncConnection, client_id: UUID, wanted: WantedOrder, account: AccountCopy) -> Order:
    """Store a new order, tagged with the configuration that the account has."""
    placed = await connection.execute(
        _PLACE,
        {
            "id": new_id(),
            "client_id": client_id,
            "account_id": wanted.account_id,
            "user_id": wanted.user_id,
            "allocation_id": account.allocation_id,
            "version": account.configuration_version,
            "side": wanted.side,
            "cash_amount": wanted.cash_amount,
            "currency": wanted.currency,
            "client_reference": wanted.client_reference,
        },
    )
    return _order_of(placed.one())


async def find(connection: AsyncConnection, client_id: UUID, order_id: UUID) -> Order:
    """Give the client's order; raises OrderNotFound."""
    row = (await connection.execute(_FIND, {"id": order_id, "client_id": client_id})).one_or_none()
    if row is None:
        raise OrderNotFound
    return _order_of(row)


async def move(
    connection: AsyncConnection,
    transition: Transition,
    *,
    client_id: UUID,
    order_id: UUID,
    account_id: UUID | None,
    reason: str | None,
) -> Order:
    """Move the order as the transition says; raises OrderNotFound or TransitionNotAllowed."""
    asked = {
        "id": order_id,
        "client_id": client_id,
        "account_id": account_id,
        "kinds": list(transition.kinds),
        "allowed": list(transition.allowed_from),
        "reason": reason,
    }
    row = (await connection.execute(_MOVE[transition.to], asked)).one_or_none()
    if row is not None:
        return _order_of(row)
    standing = await find(connection, client_id, order_id)
    if standing.kind not in transition.kinds or account_id not in (None, standing.account_id):
        raise OrderNotFound
    raise TransitionNotAllowed(standing.status, transition.allowed_from)


async def cancel_up_to(connection: AsyncConnection, bounds: Sequence[Bound]) -> int:
    """Cancel and announce the NEW orders within the bounds, one for each account; answers how many there were."""
    cancelled = await connection.execute(
        _CANCEL_UP_TO,
        {
            "accounts": [bound.account_id for bound in bounds],
            "bounds": [bound.version for bound in bounds],
            "shards": [bound.announced_with.shard for bound in bounds],
            "headers": [bound.announced_with.headers for bound in bounds],
        },
    )
    return cancelled.rowcount


async def make(
    connection: AsyncConnection, execution: Execution, planned: Sequence[PlannedOrder], announced: Sequence[BaseHeaders]
) -> None:
    """Store the orders of an execution and announce them; `announced` stand in the order of `planned`."""
    if not planned:
        return
    await connection.execute(
        _MAKE,
        {
            "client_id": execution.client_id,
            "execution_id": execution.id,
            "at": execution.created_at,
            "headers": announced[0].headers,
            "ids": [order.id for order in planned],
            "accounts": [order.account_id for order in planned],
            "allocations": [order.allocation_id for order in planned],
            "versions": [order.configuration_version for order in planned],
            "refusals": [order.refusal for order in planned],
            "announced": [order.announced for order in planned],
            "shards": [each.shard for each in announced],
        },
    )


async def page_of(
    connection: AsyncConnection, client_id: UUID, filters: Filters, *, limit: int, offset: int, order: str
) -> list[Order]:
    """A part of the client's orders by the time of their making, `order` is asc or desc."""
    asked = {field.name: getattr(filters, field.name) for field in fields(filters)}
    conditions = [f"{name} = :{name}" for name, value in asked.items() if value is not None]
    direction = "DESC" if order == "desc" else "ASC"
    listing = text(
        f"SELECT {_COLUMNS} FROM orders WHERE {' AND '.join(['client_id = :client_id', *conditions])} "  # noqa: S608 - of constants
        f"ORDER BY created_at {direction}, id {direction} LIMIT :limit OFFSET :offset"
    )
    given = {name: value for name, value in asked.items() if value is not None}
    rows = await connection.execute(listing, {"client_id": client_id, "limit": limit, "offset": offset, **given})
    return [_order_of(row) for row in rows]


def _order_of(row: Row[Any]) -> Order:
    told = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    told |= {
        "kind": OrderKind(row.kind),
        "status": OrderStatus(row.status),
        "side": OrderSide(row.side) if row.side is not None else None,
    }
    return Order(**told)
