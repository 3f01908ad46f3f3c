"""Subscriptions and their sealed secrets."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import EndpointConfig, Selection, Subscription
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part


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
    delay_seconds: float
    max_package_size: int
    rate_limit: int | None
    ordered: bool
    timeout_seconds: float | None
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
    config: EndpointConfig
    sealed_secret: bytes = field(repr=False)


_SEEN = (
    "id, client_id, title, url, types, exclude_types, enabled, disabled_reason, delay_seconds, max_package_size, "
    "rate_limit, ordered, timeout_seconds, created_at, updated_at"
)

_ADD = text(
    f"""
    WITH endpoint AS (INSERT INTO endpoints (subscription_id) VALUES (CAST(:id AS uuid)))
    INSERT INTO subscriptions (id, client_id, title, url, types, exclude_types, enabled, sealed_secret, delay_seconds,
                               max_package_size, rate_limit, ordered, timeout_seconds)
    VALUES (CAST(:id AS uuid), :client_id, :title, :url, CAST(:types AS text[]), CAST(:exclude_types AS text[]),
            :enabled, :sealed_secret, :delay, :max_package_size, :rate_limit, :ordered, :timeout)
    RETURNING {_SEEN}
    """  # noqa: S608 -- our columns
)

_ONE = text(
    f"SELECT {_SEEN} FROM subscriptions "  # noqa: S608 -- our columns
    "WHERE id = :id AND client_id = :client_id AND deleted_at IS NULL"
)

#: For lists, in the order that they are asked for in.
_SUBSCRIPTIONS = table("subscriptions", *(column(name) for name in [*_SEEN.split(", "), "deleted_at"]))
_LISTED = select(*(_SUBSCRIPTIONS.c[name] for name in _SEEN.split(", "))).where(_SUBSCRIPTIONS.c.deleted_at.is_(None))

#: FOR SHARE: the end of a subscription, and the revocation of its client, wait until what is planned for it is there to
#: be ended. Whoever has subscribed has made the client's row.
_ENABLED = text(
    """
    WITH held AS MATERIALIZED (
        SELECT client_id, revoked FROM clients
        WHERE client_id = ANY(CAST(:clients AS uuid[])) ORDER BY client_id FOR SHARE)
    SELECT id, client_id, types, exclude_types, ordered, delay_seconds, max_package_size FROM subscriptions
    WHERE client_id = ANY(CAST(:clients AS uuid[])) AND enabled AND deleted_at IS NULL
      AND client_id NOT IN (SELECT client_id FROM held WHERE revoked)
    ORDER BY id FOR SHARE OF subscriptions
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


#: Switches off whatever clients have, and answers each with whether it was on until now.
_DISABLE_ALL = text(
    """
    WITH theirs AS (
        SELECT id, enabled FROM subscriptions
        WHERE client_id = ANY(CAST(:clients AS uuid[])) AND deleted_at IS NULL ORDER BY id FOR UPDATE)
    UPDATE subscriptions AS s SET enabled = false, disabled_reason = :reason, updated_at = clock_timestamp()
    FROM theirs WHERE s.id = theirs.id
    RETURNING s.id, s.client_id, s.updated_at AS disabled_at, theirs.enabled AS was_enabled
    """
)


@dataclass(frozen=True)
class Disabled:
    """A subscription that was switched off."""

    id: UUID
    client_id: UUID
    disabled_at: datetime
    was_enabled: bool


async def add_subscription(connection: AsyncConnection, new: NewSubscription) -> SubscriptionRow:
    """Store a subscription."""
    lists = {"types": list(new.types), "exclude_types": list(new.exclude_types)}
    stored = {**vars(new), **lists, **vars(new.config)}
    del stored["config"]
    return SubscriptionRow(**(await connection.execute(_ADD, stored)).mappings().one())


async def subscription_of(
    connection: AsyncConnection, client_id: UUID, subscription_id: UUID
) -> SubscriptionRow | None:
    """The client's subscription; None where it has none of that id."""
    found = await connection.execute(_ONE, {"id": subscription_id, "client_id": client_id})
    row = found.mappings().first()
    return SubscriptionRow(**row) if row else None


async def subscriptions_of(connection: AsyncConnection, client_id: UUID, page: Page) -> Part[SubscriptionRow]:
    """A page of the client's subscriptions."""
    rows = _LISTED.where(_SUBSCRIPTIONS.c.client_id == client_id)
    return (await page_of(connection, rows, page, id_column="id")).of(lambda row: SubscriptionRow(**row))


async def enabled_subscriptions_of(connection: AsyncConnection, clients: Iterable[UUID]) -> list[Subscription]:
    """What may be planned for `clients`, locked against their end until the transaction ends."""
    rows = await connection.execute(_ENABLED, {"clients": sorted(set(clients))})
    return [
        Subscription(
            id=row.id,
            client_id=row.client_id,
            selection=Selection(frozenset(row.types), frozenset(row.exclude_types)),
            ordered=row.ordered,
            delay=row.delay_seconds,
            max_package_size=row.max_package_size,
        )
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


async def disable_subscriptions_of(
    connection: AsyncConnection, clients: Collection[UUID], reason: str
) -> list[Disabled]:
    """Switch off all subscriptions of `clients`, after their rows were updated; answers them."""
    rows = await connection.execute(_DISABLE_ALL, {"clients": list(clients), "reason": reason})
    return [Disabled(**row) for row in rows.mappings()]
