"""Subscriptions and their sealed secrets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Selection, Subscription


@dataclass(frozen=True)
class SubscriptionRow:
    """A subscription as its client sees it; its secret stays behind."""

    id: UUID
    client_id: UUID
    title: str
    url: str
    types: list[str]
    exclude_types: list[str]
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class NewSubscription:
    """A subscription to be stored."""

    id: UUID
    client_id: UUID
    title: str
    url: str
    types: Sequence[str]
    exclude_types: Sequence[str]
    enabled: bool
    sealed_secret: bytes = field(repr=False)


_SEEN = "id, client_id, title, url, types, exclude_types, enabled, disabled_reason, created_at, updated_at"

_ADD = text(
    f"""
    INSERT INTO subscriptions (id, client_id, title, url, types, exclude_types, enabled, sealed_secret)
    VALUES (:id, :client_id, :title, :url, CAST(:types AS text[]), CAST(:exclude_types AS text[]), :enabled,
            :sealed_secret)
    RETURNING {_SEEN}
    """  # noqa: S608 -- our columns
)

_ONE = text(
    f"SELECT {_SEEN} FROM subscriptions "  # noqa: S608 -- our columns
    "WHERE id = :id AND client_id = :client_id AND deleted_at IS NULL"
)

_LISTS = {
    direction: text(
        f"""
        SELECT {_SEEN}, count(*) OVER () AS total FROM subscriptions
        WHERE client_id = :client_id AND deleted_at IS NULL
        ORDER BY created_at {direction}, id {direction} LIMIT :limit OFFSET :offset
        """  # noqa: S608 -- our columns
    )
    for direction in ("asc", "desc")
}

_COUNT = text("SELECT count(*) FROM subscriptions WHERE client_id = :client_id AND deleted_at IS NULL")

#: FOR SHARE: the end of a subscription waits until what is planned for it is there to be ended.
_ENABLED = text(
    """
    SELECT id, client_id, types, exclude_types FROM subscriptions
    WHERE client_id = ANY(CAST(:clients AS uuid[])) AND enabled AND deleted_at IS NULL ORDER BY id FOR SHARE
    """
)

_DELETE = text(
    """
    UPDATE subscriptions SET deleted_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = :id AND client_id = :client_id AND deleted_at IS NULL RETURNING id
    """
)

#: Answers the client and the time only to the one who switched it off.
_DISABLE = text(
    """
    UPDATE subscriptions SET enabled = false, disabled_reason = :reason, updated_at = clock_timestamp()
    WHERE id = :id AND enabled AND deleted_at IS NULL RETURNING client_id, updated_at
    """
)


async def add_subscription(connection: AsyncConnection, new: NewSubscription) -> SubscriptionRow:
    """Store a subscription."""
    stored = {**vars(new), "types": list(new.types), "exclude_types": list(new.exclude_types)}
    return SubscriptionRow(**(await connection.execute(_ADD, stored)).mappings().one())


async def subscription_of(
    connection: AsyncConnection, client_id: UUID, subscription_id: UUID
) -> SubscriptionRow | None:
    """The client's subscription; None where it has none of that id."""
    found = await connection.execute(_ONE, {"id": subscription_id, "client_id": client_id})
    row = found.mappings().first()
    return SubscriptionRow(**row) if row else None


async def subscriptions_of(
    connection: AsyncConnection, client_id: UUID, *, limit: int, offset: int, descending: bool
) -> tuple[list[SubscriptionRow], int]:
    """A page of the client's subscriptions by the time of their making, and how many there are in all."""
    listed = _LISTS["desc" if descending else "asc"]
    found = await connection.execute(listed, {"client_id": client_id, "limit": limit, "offset": offset})
    rows = [dict(row) for row in found.mappings()]
    totals = {row.pop("total") for row in rows}
    total = totals.pop() if totals else (await connection.execute(_COUNT, {"client_id": client_id})).scalar_one()
    return [SubscriptionRow(**row) for row in rows], total


async def enabled_subscriptions_of(connection: AsyncConnection, clients: Iterable[UUID]) -> list[Subscription]:
    """What may be planned for `clients`, locked against their end until the transaction ends."""
    rows = await connection.execute(_ENABLED, {"clients": sorted(set(clients))})
    return [
        Subscription(row.id, row.client_id, Selection(frozenset(row.types), frozenset(row.exclude_types)))
        for row in rows
    ]


async def delete_subscription(connection: AsyncConnection, client_id: UUID, subscription_id: UUID) -> bool:
    """Delete the client's subscription; False where it has none of that id."""
    deleted = await connection.execute(_DELETE, {"id": subscription_id, "client_id": client_id})
    return deleted.first() is not None


async def disable_subscription(
    connection: AsyncConnection, subscription_id: UUID, reason: str
) -> tuple[UUID, datetime] | None:
    """Switch a subscription off; answers its client and the time, None where it was off or gone before."""
    row = (await connection.execute(_DISABLE, {"id": subscription_id, "reason": reason})).first()
    return (row.client_id, row.updated_at) if row else None
