"""Orders of both kinds: taken, moved, cancelled, listed. Statements that change a status say from where."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import OrderKind, OrderSide, OrderStatus, new_id

from ..domain import (
    AccountCopy,
    Order,
    OrderNotFound,
    Standing,
    Transition,
    TransitionNotAllowed,
    WantedOrder,
    check_movable,
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

_STANDINGS = text("SELECT client_id, id, account_id, kind, status FROM orders WHERE id = ANY(CAST(:ids AS uuid[]))")

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


@dataclass(frozen=True)
class Bound:
    """Up to which version an account's NEW orders are to be cancelled, and how that is announced."""

    account_id: UUID
    version: int
    announced_with: BaseHeaders


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


async def standings_of(connection: AsyncConnection, order_ids: Iterable[UUID]) -> dict[tuple[UUID, UUID], Standing]:
    """Where orders stand, by client and order; those that there are not are left out."""
    rows = await connection.execute(_STANDINGS, {"ids": list(order_ids)})
    return {
        (row.client_id, row.id): Standing(row.account_id, OrderKind(row.kind), OrderStatus(row.status)) for row in rows
    }


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
    order = await find(connection, client_id, order_id)
    check_movable(transition, Standing(order.account_id, order.kind, order.status), account_id)
    raise TransitionNotAllowed(order.status, transition.allowed_from)


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


def order_of(row: RowMapping) -> Order:
    """The order that a row holds."""
    told = {
        "kind": OrderKind(row["kind"]),
        "status": OrderStatus(row["status"]),
        "side": OrderSide(row["side"]) if row["side"] is not None else None,
    }
    return Order(**{**row, **told})


def _order_of(row: Row[Any]) -> Order:
    return order_of(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
