"""Deliveries: planned, stopped by the gate, ended with their subscription, and looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import DeliveryState, Planned, Reason

from .copies import Deletion

#: how many deliveries one statement inserts: their bodies are in memory meanwhile
_AT_ONCE = 1000

_PLAN = text(
    """
    INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time, event_type,
                            gated, configuration_version, state, reason, body, planned_position)
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:subscriptions AS uuid[]), CAST(:clients AS uuid[]), CAST(:accounts AS uuid[]),
        CAST(:sources AS text[]), CAST(:event_ids AS text[]), CAST(:times AS timestamptz[]), CAST(:types AS text[]),
        CAST(:gated AS boolean[]), CAST(:versions AS bigint[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
        CAST(:bodies AS bytea[]), CAST(:positions AS bigint[]))
    ON CONFLICT (subscription_id, event_source, event_id, event_time) DO NOTHING
    """
)

#: Stops what belongs to deleted versions: what waits is suppressed, what is leased will not wait again. Both states are
#: asked for, since a row may change from one to the other while this waits for its lock. Locked in the order of ids.
_CLOSE_GATE = text(
    """
    WITH stopped AS (
        SELECT id FROM deliveries AS d
        JOIN unnest(CAST(:accounts AS uuid[]), CAST(:versions AS bigint[])) AS deleted(account_id, version)
          ON d.account_id = deleted.account_id AND d.configuration_version <= deleted.version
        WHERE d.gated AND d.state IN ('WAITING', 'LEASED')
        ORDER BY d.id FOR UPDATE OF d)
    UPDATE deliveries AS d
    SET state = CASE d.state WHEN 'WAITING' THEN 'SUPPRESSED' ELSE d.state END,
        reason = CASE d.state WHEN 'WAITING' THEN :reason ELSE d.reason END,
        gate_closed = true, updated_at = clock_timestamp()
    FROM stopped WHERE d.id = stopped.id
    """
)

#: As above, for what belongs to a subscription that is gone or switched off.
_END = text(
    """
    WITH ended AS (
        SELECT id FROM deliveries
        WHERE subscription_id = :subscription_id AND state IN ('WAITING', 'LEASED') ORDER BY id FOR UPDATE)
    UPDATE deliveries AS d
    SET state = CASE d.state WHEN 'WAITING' THEN :state ELSE d.state END,
        reason = CASE d.state WHEN 'WAITING' THEN :reason ELSE d.reason END,
        ends_as = :state, updated_at = clock_timestamp()
    FROM ended WHERE d.id = ended.id
    """
)

_SEEN = """
    id, subscription_id, client_id, account_id, event_id, event_type, configuration_version, state, reason, attempts,
    due_at, created_at, updated_at
"""

_ONE = text(f"SELECT {_SEEN} FROM deliveries WHERE id = :id AND client_id = :client_id")  # noqa: S608 -- our columns


async def plan(connection: AsyncConnection, planned: Sequence[Planned]) -> None:
    """Record deliveries; one that is there already stays as it is."""
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
            },
        )


async def close_gate(connection: AsyncConnection, deletions: Sequence[Deletion]) -> int:
    """Stop what belongs to the deleted versions, after their configuration rows were updated; answers how many."""
    if not deletions:
        return 0
    stopped = await connection.execute(
        _CLOSE_GATE,
        {
            "accounts": [deletion.account_id for deletion in deletions],
            "versions": [deletion.version for deletion in deletions],
            "reason": Reason.CONFIGURATION_DELETED.value,
        },
    )
    return stopped.rowcount


async def end_deliveries_of(
    connection: AsyncConnection, subscription_id: UUID, state: DeliveryState, reason: Reason
) -> int:
    """End whatever waits for a subscription, after its row was updated; answers how many."""
    named = {"subscription_id": subscription_id, "state": state.value, "reason": reason.value}
    return (await connection.execute(_END, named)).rowcount


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
    connection: AsyncConnection, client_id: UUID, wanted: DeliveryFilter, *, limit: int, offset: int, descending: bool
) -> list[DeliveryRow]:
    """A page of the client's deliveries by the time of their making."""
    conditions = wanted.conditions()
    direction = "DESC" if descending else "ASC"
    query = f"""
        SELECT {_SEEN} FROM deliveries
        WHERE {" AND ".join(f"{column} = :{column}" for column in ("client_id", *conditions))}
        ORDER BY created_at {direction}, id LIMIT :limit OFFSET :offset
        """  # noqa: S608 -- made of our own column names
    asked = {**conditions, "client_id": client_id, "limit": limit, "offset": offset}
    found = await connection.execute(text(query), asked)
    return [_row(row) for row in found.mappings()]


def _row(mapping: RowMapping) -> DeliveryRow:
    columns: dict[str, Any] = {**mapping}
    reason = columns.pop("reason")
    state = DeliveryState(columns.pop("state"))
    return DeliveryRow(**columns, state=state, reason=Reason(reason) if reason else None)
