"""Searches: deliveries as their client looks for them.

A search is driven by one index, chosen by what narrows most, and what it finds is sifted by the other conditions. No
page looks at more than a bounded number of rows, so it costs the same however many deliveries there are: where few
suit, a page comes back short, with a cursor that goes on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, column, literal_column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import DeliveryState, Reason
from shared.kit.listing import sifted_page_of
from shared.kit.paging import Page, Part


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery as its client sees it."""

    id: UUID
    subscription_id: UUID
    client_id: UUID
    account_id: UUID | None
    event_id: str
    event_type: str
    more_event_ids: list[str]
    configuration_version: int | None
    state: DeliveryState
    reason: Reason | None
    attempts: int
    due_at: datetime
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class DeliveryFilter:
    """Which of a client's deliveries are asked for; None means any."""

    subscription_id: UUID | None = None
    account_id: UUID | None = None
    event_id: str | None = None
    event_type: str | None = None
    state: DeliveryState | None = None
    #: planned at this time or later
    since: datetime | None = None
    #: planned before this one
    before: datetime | None = None


_SEEN = """
    id, subscription_id, client_id, account_id, event_id, event_type, more_event_ids, configuration_version, state,
    reason, attempts, due_at, created_at, updated_at
"""
_NAMES = tuple(name.strip() for name in _SEEN.split(","))

_DELIVERIES = table("deliveries", *(column(name) for name in _NAMES))

_SUBSCRIPTIONS = table("subscriptions", column("id"), column("client_id"))

_ONE = text(f"SELECT {_SEEN} FROM deliveries WHERE id = :id AND client_id = :client_id")  # noqa: S608 -- our columns

#: The first of its package, which an index finds by event and client, or one behind it. Not to be turned round (OFFSET
#: 0): nothing but the ids that were found is worth reading deliveries along.
_OF_EVENT = text(
    f"""
    SELECT d.* FROM (
        SELECT id FROM deliveries WHERE client_id = :client_id AND event_id = :event_id
        UNION SELECT deliveries_packed_with(:client_id, :event_id)) AS found
    CROSS JOIN LATERAL (SELECT {_SEEN} FROM deliveries WHERE deliveries.id = found.id OFFSET 0) AS d
    WHERE d.client_id = :client_id OFFSET 0
    """  # noqa: S608 -- our columns
)

_OPEN = (DeliveryState.WAITING, DeliveryState.LEASED)
#: Each with the states that lie in the same partitions: others need not be read at all.
_BESIDE: Mapping[DeliveryState, tuple[DeliveryState, ...]] = MappingProxyType(
    {
        state: _OPEN if state in _OPEN else tuple(each for each in DeliveryState if each not in _OPEN)
        for state in DeliveryState
    }
)
#: of these there are so few that an index has their states
_BY_INDEX = (DeliveryState.FAILED, DeliveryState.SUPPRESSED, DeliveryState.DISCARDED)

#: columns with the values that they are to have
Conditions = dict[str, object]


async def delivery_of(connection: AsyncConnection, client_id: UUID, delivery_id: UUID) -> DeliveryRow | None:
    """The client's delivery; None where it has none of that id."""
    found = await connection.execute(_ONE, {"id": delivery_id, "client_id": client_id})
    row = found.mappings().first()
    return _row(row) if row else None


async def deliveries_matching(
    connection: AsyncConnection, client_id: UUID, wanted: DeliveryFilter, page: Page
) -> Part[DeliveryRow]:
    """A page of the client's deliveries."""
    return await deliveries_of_anybody(connection, client_id, wanted, page)


async def deliveries_of_anybody(
    connection: AsyncConnection, client_id: UUID | None, wanted: DeliveryFilter, page: Page
) -> Part[DeliveryRow]:
    """A page of deliveries for ops: of one client, or of all (None) where an account or a subscription is named."""
    rows, conditions = _driven({} if client_id is None else {"client_id": client_id}, wanted)
    if wanted.since is not None:
        rows = rows.where(rows.selected_columns["created_at"] >= wanted.since)
    if wanted.before is not None:
        rows = rows.where(rows.selected_columns["created_at"] < wanted.before)
    return (await sifted_page_of(connection, rows, conditions, page, id_column="id")).of(_row)


def _driven(client: Conditions, wanted: DeliveryFilter) -> tuple[Select[Any], Conditions]:
    """What an index finds, and the conditions that are left to sift it by."""
    of = {"account_id": wanted.account_id, "subscription_id": wanted.subscription_id, "event_type": wanted.event_type}
    left: Conditions = {name: value for name, value in of.items() if value is not None}
    if wanted.state is not None:
        left["state"] = wanted.state.value
    if wanted.event_id is not None:
        found = _OF_EVENT.bindparams(**client, event_id=wanted.event_id)
        return select(found.columns(*(column(name) for name in _NAMES)).subquery("of_event")), left
    if wanted.account_id is not None:
        # Whose it is cannot be told from its id: of another client's account nothing suits.
        return _in_states(_having({"account_id": left.pop("account_id")}), wanted.state), {
            **left,
            **client,
        }
    driving: Conditions = {**client}
    if wanted.subscription_id is not None:
        driving["subscription_id"] = left.pop("subscription_id")
    if wanted.state in _BY_INDEX:
        driving["state"] = left.pop("state")
        return _having(driving).where(_DELIVERIES.c.state != DeliveryState.DELIVERED.value), left
    return _in_states(_having(driving), wanted.state), left


def _having(conditions: Conditions) -> Select[Any]:
    if "subscription_id" not in conditions:
        return select(_DELIVERIES).where(*_are(conditions))
    # Whose it is, is asked of the subscription, once and before anything is read: of another client's there would be
    # much to read for nothing. And an index of the client's deliveries must not look as good as the subscription's.
    of_it = {**conditions}
    owned: Select[Any] = select(literal_column("1")).where(_SUBSCRIPTIONS.c.id == of_it["subscription_id"])
    if "client_id" in of_it:
        owned = owned.where(_SUBSCRIPTIONS.c.client_id == of_it.pop("client_id"))
    return select(_DELIVERIES).where(*_are(of_it), owned.exists())


def _are(conditions: Conditions) -> Iterable[ColumnElement[bool]]:
    return (_DELIVERIES.c[name] == value for name, value in conditions.items())


def _in_states(rows: Select[Any], state: DeliveryState | None) -> Select[Any]:
    if state is None:
        return rows
    return rows.where(_DELIVERIES.c.state.in_([each.value for each in _BESIDE[state]]))


def _row(mapping: RowMapping) -> DeliveryRow:
    columns: dict[str, Any] = {**mapping}
    reason = columns.pop("reason")
    state = DeliveryState(columns.pop("state"))
    return DeliveryRow(**columns, state=state, reason=Reason(reason) if reason else None)
