"""Subscriptions of all clients as those see them who run the system: how each endpoint does, and what waits for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, bindparam, column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

#: of the deliveries to one subscription: how many that wait are counted, and how many of the newest its rate is of
_COUNTED: Final = 1_000
_NEWEST: Final = 50

_SUBSCRIPTIONS = table(
    "subscriptions",
    *map(column, ("id", "client_id", "title", "url", "enabled", "disabled_reason", "paused_at", "created_at")),
    column("deleted_at"),
)
_ENDPOINTS = table("endpoints", column("subscription_id"), column("failing_since"))
_LISTED: Select[Any] = select(*(each for each in _SUBSCRIPTIONS.c if each.name != "deleted_at")).where(
    _SUBSCRIPTIONS.c.deleted_at.is_(None)
)

#: How those of one page do. Each subquery is led by the index that serves it: what waits by that of the claim, the
#: newest deliveries by that of the subscription's list, their attempts by their own keys.
_DOING = text(
    """
    SELECT s.id, e.failing_since, e.open_until > now() AS is_open, e.open_until <= now() AS is_half_open,
           waiting.count AS waiting, coalesce(extract(epoch FROM now() - due.at), 0) AS overdue_seconds,
           tried.attempts, tried.delivered, tried.p95_seconds
    FROM unnest(CAST(:ids AS uuid[])) AS s(id)
    LEFT JOIN endpoints AS e ON e.subscription_id = s.id
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM deliveries_open AS d WHERE d.subscription_id = s.id LIMIT :counted + 1) AS first) AS waiting
    LEFT JOIN LATERAL (
        SELECT due_at AS at FROM deliveries_open AS d
        WHERE d.subscription_id = s.id AND d.state = 'WAITING' AND d.due_at <= now() ORDER BY d.due_at LIMIT 1
    ) AS due ON true
    CROSS JOIN LATERAL (
        SELECT count(a.number) AS attempts, count(*) FILTER (WHERE a.outcome = 'DELIVERED') AS delivered,
               percentile_cont(0.95) WITHIN GROUP (
                   ORDER BY extract(epoch FROM a.finished_at - a.started_at)) AS p95_seconds
        FROM (SELECT id FROM deliveries AS d WHERE d.subscription_id = s.id
              ORDER BY d.created_at DESC, d.id DESC LIMIT :newest) AS newest
        CROSS JOIN LATERAL (
            SELECT number, outcome, started_at, finished_at FROM attempts
            WHERE delivery_id = newest.id ORDER BY number LIMIT :newest) AS a) AS tried
    """
).bindparams(bindparam("counted", _COUNTED), bindparam("newest", _NEWEST))

_OWNER_OF_SUBSCRIPTION = text("SELECT client_id FROM subscriptions WHERE id = :id AND deleted_at IS NULL")
_OWNER_OF_DELIVERY = text("SELECT client_id FROM deliveries WHERE id = :id")


@dataclass(frozen=True)
class WatchedRow:
    """One subscription, and how its endpoint does."""

    id: UUID
    client_id: UUID
    title: str
    url: str
    enabled: bool
    disabled_reason: str | None
    paused_at: datetime | None
    created_at: datetime
    failing_since: datetime | None
    is_open: bool | None
    is_half_open: bool | None
    #: that wait or are under way; more than are counted are one more
    waiting: int
    overdue_seconds: float
    #: attempts of its newest deliveries
    attempts: int
    delivered: int
    p95_seconds: float | None

    @property
    def is_counted(self) -> bool:
        """Whether all that wait were counted."""
        return self.waiting <= _COUNTED


async def watched_subscriptions(
    connection: AsyncConnection, client_id: UUID | None, page: Page, *, failing: bool
) -> Part[WatchedRow]:
    """A page of subscriptions of all clients, or of one; only those whose endpoints are failing, if it is asked for."""
    rows = _LISTED
    if client_id is not None:
        rows = rows.where(_SUBSCRIPTIONS.c.client_id == client_id)
    if failing:
        of_failing = select(_ENDPOINTS.c.subscription_id).where(_ENDPOINTS.c.failing_since.is_not(None))
        rows = rows.where(_SUBSCRIPTIONS.c.id.in_(of_failing))
    part = await page_of(connection, rows, page, id_column="id")
    found = await connection.execute(_DOING, {"ids": [row["id"] for row in part.items]})
    doing = {row["id"]: row for row in found.mappings()}
    return part.of(lambda row: WatchedRow(**{**row, **doing[row["id"]]}))


async def owner_of_subscription(connection: AsyncConnection, subscription_id: UUID) -> UUID | None:
    """Whose subscription it is; None where there is none."""
    owner: UUID | None = (await connection.execute(_OWNER_OF_SUBSCRIPTION, {"id": subscription_id})).scalar()
    return owner


async def owner_of_delivery(connection: AsyncConnection, delivery_id: UUID) -> UUID | None:
    """Whose delivery it is; None where there is none."""
    owner: UUID | None = (await connection.execute(_OWNER_OF_DELIVERY, {"id": delivery_id})).scalar()
    return owner
