"""Deliveries: planned, stopped by the gate, ended with their subscription, and looked at."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import DeliveryState, Planned, Reason
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .copies import Deletion
from .endings import MOVE_GONE, let_next_go
from .packages import as_json

#: how many deliveries one statement inserts: their bodies are in memory meanwhile
_AT_ONCE = 1000

#: In the order given, which becomes their place in line.
_PLAN = text(
    """
    INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time, event_type,
                            gated, configuration_version, state, reason, body, planned_position, ordered, due_at,
                            package_size, more_event_ids, more_event_types)
    SELECT id, subscription_id, client_id, account_id, source, event_id, time, type, gated, version, state, reason,
           body, position, ordered, clock_timestamp() + make_interval(secs => delay), size,
           ARRAY(SELECT jsonb_array_elements_text(more_ids)), ARRAY(SELECT jsonb_array_elements_text(more_types))
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:subscriptions AS uuid[]), CAST(:clients AS uuid[]), CAST(:accounts AS uuid[]),
        CAST(:sources AS text[]), CAST(:event_ids AS text[]), CAST(:times AS timestamptz[]), CAST(:types AS text[]),
        CAST(:gated AS boolean[]), CAST(:versions AS bigint[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
        CAST(:bodies AS bytea[]), CAST(:positions AS bigint[]), CAST(:ordered AS boolean[]), CAST(:delays AS float8[]),
        CAST(:sizes AS int[]), CAST(:more_ids AS jsonb[]), CAST(:more_types AS jsonb[]))
        WITH ORDINALITY
        AS planned(id, subscription_id, client_id, account_id, source, event_id, time, type, gated, version, state,
                   reason, body, position, ordered, delay, size, more_ids, more_types, nth)
    ORDER BY nth
    """
)

#: Stops what belongs to deleted versions: what waits is suppressed, what is leased will not wait again. Both states are
#: asked for, since a row may change from one to the other while this waits for its lock. Locked in the order of ids.
_CLOSE_GATE = text(
    f"""
    WITH found AS MATERIALIZED (
        SELECT d.id FROM unnest(CAST(:accounts AS uuid[]), CAST(:versions AS bigint[])) AS deleted(account_id, version)
        CROSS JOIN LATERAL (
            SELECT id FROM deliveries_open
            WHERE gated AND account_id = deleted.account_id AND configuration_version <= deleted.version
            OFFSET 0) AS d
        ORDER BY d.id),
    stopped AS MATERIALIZED (
        SELECT d.id, d.state FROM found
        CROSS JOIN LATERAL (SELECT id, state FROM deliveries_open WHERE id = found.id FOR UPDATE) AS d),
    marked AS (
        UPDATE deliveries_open AS d SET gate_closed = true, updated_at = clock_timestamp()
        FROM stopped WHERE d.id = stopped.id AND stopped.state = 'LEASED'),
    gone AS (
        DELETE FROM deliveries_open AS d USING stopped WHERE d.id = stopped.id AND stopped.state = 'WAITING'
        RETURNING d.*, 'SUPPRESSED' AS final_state, CAST(:reason AS text) AS final_reason),
    moved AS ({MOVE_GONE})
    SELECT count(*) AS stopped, NULL AS subscription_id, NULL AS account_id FROM stopped
    UNION ALL SELECT DISTINCT 0, subscription_id, account_id FROM gone WHERE ordered
    """  # noqa: S608 -- our own conditions
)

#: As above, for what belongs to subscriptions that are gone or switched off: all of it, so that nothing is next. What
#: is leased keeps the reason for the time when its attempt is over.
_END = text(
    f"""
    WITH ended AS MATERIALIZED (
        SELECT id, state FROM deliveries_open
        WHERE subscription_id = ANY(CAST(:subscriptions AS uuid[])) ORDER BY id FOR UPDATE),
    marked AS (
        UPDATE deliveries_open AS d
        SET ends_as = CAST(:state AS text), reason = CAST(:reason AS text), updated_at = clock_timestamp()
        FROM ended WHERE d.id = ended.id AND ended.state = 'LEASED'),
    gone AS (
        DELETE FROM deliveries_open AS d USING ended WHERE d.id = ended.id AND ended.state = 'WAITING'
        RETURNING d.*, CAST(:state AS text) AS final_state, CAST(:reason AS text) AS final_reason),
    moved AS ({MOVE_GONE})
    SELECT count(*) FROM ended
    """  # noqa: S608 -- our own conditions
)

_SEEN = """
    id, subscription_id, client_id, account_id, event_id, event_type, configuration_version, state, reason, attempts,
    due_at, created_at, updated_at
"""

#: For lists, whose conditions are put together as they are asked for.
_DELIVERIES = table("deliveries", *(column(name.strip()) for name in _SEEN.split(",")))

_ONE = text(f"SELECT {_SEEN} FROM deliveries WHERE id = :id AND client_id = :client_id")  # noqa: S608 -- our columns


async def plan(connection: AsyncConnection, planned: Sequence[Planned]) -> None:
    """Record deliveries, in their order."""
    for start in range(0, len(planned), _AT_ONCE):
        part = planned[start : start + _AT_ONCE]
        await connection.execute(
            _PLAN,
            {
                "ids": [each.id for each in part],
                "subscriptions": [each.subscription_id for each in part],
                "clients": [each.client_id for each in part],
                "accounts": [each.account_id for each in part],
                "sources": [each.event_source for each in part],
                "event_ids": [each.event_id for each in part],
                "times": [each.event_time for each in part],
                "types": [each.webhook_type.value for each in part],
                "gated": [each.gated for each in part],
                "versions": [each.configuration_version for each in part],
                "states": [each.state.value for each in part],
                "reasons": [each.reason and each.reason.value for each in part],
                "bodies": [each.body for each in part],
                "positions": [each.planned_position for each in part],
                "ordered": [each.ordered for each in part],
                "delays": [each.delay for each in part],
                "sizes": [each.package_size for each in part],
                "more_ids": [as_json([event_id for event_id, _ in each.more]) for each in part],
                "more_types": [as_json([webhook_type for _, webhook_type in each.more]) for each in part],
            },
        )


async def close_gate(connection: AsyncConnection, deletions: Sequence[Deletion]) -> int:
    """Stop what belongs to the deleted versions, after their configuration rows were updated; answers how many."""
    if not deletions:
        return 0
    closed = await connection.execute(
        _CLOSE_GATE,
        {
            "accounts": [deletion.account_id for deletion in deletions],
            "versions": [deletion.version for deletion in deletions],
            "reason": Reason.CONFIGURATION_DELETED.value,
        },
    )
    stopped = closed.all()
    await let_next_go(connection, {(row.subscription_id, row.account_id) for row in stopped if row.subscription_id})
    return sum(row.stopped for row in stopped)


async def end_deliveries_of(
    connection: AsyncConnection, subscriptions: Collection[UUID], state: DeliveryState, reason: Reason
) -> int:
    """End whatever waits for subscriptions, after their rows were updated; answers how many."""
    named = {"subscriptions": list(subscriptions), "state": state.value, "reason": reason.value}
    ended: int = (await connection.execute(_END, named)).scalar_one()
    return ended


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery as its client sees it."""

    id: UUID
    subscription_id: UUID
    client_id: UUID
    account_id: UUID | None
    event_id: str
    event_type: str
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
    state: DeliveryState | None = None
    event_type: str | None = None

    def conditions(self) -> dict[str, object]:
        """The columns that are asked for, with their values."""
        return {column: value for column, value in vars(self).items() if value is not None}


async def delivery_of(connection: AsyncConnection, client_id: UUID, delivery_id: UUID) -> DeliveryRow | None:
    """The client's delivery; None where it has none of that id."""
    found = await connection.execute(_ONE, {"id": delivery_id, "client_id": client_id})
    row = found.mappings().first()
    return _row(row) if row else None


async def deliveries_matching(
    connection: AsyncConnection, client_id: UUID, wanted: DeliveryFilter, page: Page
) -> Part[DeliveryRow]:
    """A page of the client's deliveries."""
    return await _matching(connection, {"client_id": client_id, **wanted.conditions()}, page)


async def deliveries_of_anybody(
    connection: AsyncConnection, client_id: UUID | None, wanted: DeliveryFilter, page: Page
) -> Part[DeliveryRow]:
    """A page of deliveries for ops, of one client or of all; without a client, account or subscription it is slow."""
    client = {} if client_id is None else {"client_id": client_id}
    return await _matching(connection, {**client, **wanted.conditions()}, page)


async def _matching(connection: AsyncConnection, conditions: dict[str, object], page: Page) -> Part[DeliveryRow]:
    rows = select(_DELIVERIES).where(*(_DELIVERIES.c[name] == value for name, value in conditions.items()))
    return (await page_of(connection, rows, page, id_column="id")).of(_row)


def _row(mapping: RowMapping) -> DeliveryRow:
    columns: dict[str, Any] = {**mapping}
    reason = columns.pop("reason")
    state = DeliveryState(columns.pop("state"))
    return DeliveryRow(**columns, state=state, reason=Reason(reason) if reason else None)
