"""Subscriptions: looked at by their client and by planning, switched off, deleted."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, column, select, table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Selection, Subscription
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part


@dataclass(frozen=True)
class SubscriptionRow:
    """A subscription as its client sees it; what is secret stays behind."""

    id: UUID
    client_id: UUID
    title: str
    url: str
    types: list[str]
    exclude_types: list[str]
    enabled: bool
    disabled_reason: str | None
    paused_at: datetime | None
    delay_seconds: float
    max_package_size: int
    rate_limit: int | None
    ordered: bool
    timeout_seconds: float | None
    retry_schedule: list[float] | None
    signature: list[str]
    public_key: str | None
    header_names: list[str]
    auth: dict[str, Any] | None
    ca_fingerprints: list[str] | None
    revision: int
    created_at: datetime
    updated_at: datetime


#: the columns of a SubscriptionRow
SEEN = (
    "id, client_id, title, url, types, exclude_types, enabled, disabled_reason, paused_at, delay_seconds, "
    "max_package_size, rate_limit, ordered, timeout_seconds, retry_schedule, signature, public_key, header_names, "
    "auth, ca_fingerprints, revision, created_at, updated_at"
)

_ONE = text(
    f"SELECT {SEEN} FROM subscriptions "  # noqa: S608 -- our columns
    "WHERE id = :id AND client_id = :client_id AND deleted_at IS NULL"
).columns(auth=JSONB)

#: For lists, in the order that they are asked for in.
_SUBSCRIPTIONS = table(
    "subscriptions",
    *(column(name, JSONB if name == "auth" else None) for name in [*SEEN.split(", "), "deleted_at"]),
)
_LISTED = select(*(_SUBSCRIPTIONS.c[name] for name in SEEN.split(", "))).where(_SUBSCRIPTIONS.c.deleted_at.is_(None))

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

_DELETE = text("UPDATE subscriptions SET deleted_at = clock_timestamp(), updated_at = clock_timestamp() WHERE id = :id")

#: Answers the client and the time only to the one who switched it off.
_DISABLE = text(
    """
    UPDATE subscriptions
    SET enabled = false, disabled_reason = :reason, revision = revision + 1, updated_at = clock_timestamp()
    WHERE id = :id AND enabled AND deleted_at IS NULL RETURNING client_id, updated_at
    """
)


#: Switches off whatever clients have, and answers each with whether it was on until now.
_DISABLE_ALL = text(
    """
    WITH theirs AS (
        SELECT id, enabled FROM subscriptions
        WHERE client_id = ANY(CAST(:clients AS uuid[])) AND deleted_at IS NULL ORDER BY id FOR UPDATE)
    UPDATE subscriptions AS s
    SET enabled = false, disabled_reason = :reason, revision = revision + 1, updated_at = clock_timestamp()
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


async def subscription_of(
    connection: AsyncConnection, client_id: UUID, subscription_id: UUID
) -> SubscriptionRow | None:
    """The client's subscription; None where it has none of that id."""
    found = await connection.execute(_ONE, {"id": subscription_id, "client_id": client_id})
    row = found.mappings().first()
    return None if row is None else subscription_in(row)


async def subscriptions_of(connection: AsyncConnection, client_id: UUID, page: Page) -> Part[SubscriptionRow]:
    """A page of the client's subscriptions."""
    rows = _LISTED.where(_SUBSCRIPTIONS.c.client_id == client_id)
    return (await page_of(connection, rows, page, id_column="id")).of(subscription_in)


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


async def delete_subscription(connection: AsyncConnection, subscription_id: UUID) -> None:
    """Delete a locked subscription."""
    await connection.execute(_DELETE, {"id": subscription_id})


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


def subscription_in(mapping: RowMapping | Mapping[str, Any]) -> SubscriptionRow:
    """Read a row of the columns `SEEN`."""
    return SubscriptionRow(**mapping)
