"""Reopenings: what has ended waits again, under its old id and in its old place, to be sent once more.

A delivery that has ended is deleted there and inserted among the open ones by one statement, so that it is in one place
at any time and in one list entry for good; its attempts are counted on. Whoever asks for the same one at the same time
waits for its row and finds it gone: it is reopened once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import DeliveryState, Reason, Stopped, told_to_nobody


@dataclass(frozen=True)
class Ended:
    """A delivery that may be asked to be sent again, as far as deciding on it needs."""

    id: UUID
    subscription_id: UUID
    account_id: UUID | None
    gated: bool
    configuration_version: int | None
    state: DeliveryState
    reason: Reason | None
    created_at: datetime
    #: its last change: with its id, what finds it again
    updated_at: datetime


@dataclass(frozen=True)
class Reopening:
    """A delivery to be sent again."""

    ended: Ended
    #: how far the copy of configurations had come, where the gate was asked
    planned_position: int | None = None


_SEEN = "id, subscription_id, account_id, gated, configuration_version, state, reason, created_at, updated_at"

_ONE = text(f"SELECT {_SEEN} FROM deliveries WHERE id = :id AND client_id = :client_id")  # noqa: S608 -- our columns

_KEPT = """
    id, subscription_id, client_id, account_id, place, ordered, event_source, event_id, event_time, event_type,
    more_event_ids, more_event_types, gated, configuration_version, body, attempts, created_at,
    traceparent
"""

#: A body that may have been sent is frozen: with room for one event, nothing joins it any more. In its old place it
#: goes before whatever still waits of its account, where that matters.
_REOPEN = text(
    f"""
    WITH gone AS (
        DELETE FROM deliveries_ended AS d
        USING unnest(CAST(:ids AS uuid[]), CAST(:ended AS timestamptz[]), CAST(:positions AS bigint[]))
              AS asked(id, ended_at, position)
        WHERE d.id = ANY(ARRAY[asked.id]) AND d.updated_at = asked.ended_at AND d.state IN ('FAILED', 'DELIVERED')
        RETURNING d.*, asked.position AS asked_position)
    INSERT INTO deliveries_open ({_KEPT}, package_size, state, tried_before, planned_position, recovery_id)
    SELECT {_KEPT}, 1, 'WAITING', attempts, coalesce(asked_position, planned_position), CAST(:recovery AS uuid)
    FROM gone ORDER BY place
    RETURNING id
    """  # noqa: S608 -- our columns
)

#: In place: when it ended stays what it was.
_STOP = text(
    """
    UPDATE deliveries_ended AS d SET state = 'SUPPRESSED', reason = CAST(:reason AS text)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:ended AS timestamptz[])) AS asked(id, ended_at)
    WHERE d.id = ANY(ARRAY[asked.id]) AND d.updated_at = asked.ended_at AND d.state = 'FAILED'
    """
)


#: FOR SHARE, as planning does: the end of the subscription waits until what is reopened for it is there to be ended.
_HOLD_ENABLED = text("SELECT id FROM subscriptions WHERE id = :id AND enabled AND deleted_at IS NULL FOR SHARE")


async def hold_enabled(connection: AsyncConnection, subscription_id: UUID) -> bool:
    """Whether anything may be planned for the subscription; that stays so until the transaction ends."""
    return (await connection.execute(_HOLD_ENABLED, {"id": subscription_id})).first() is not None


async def ended_delivery(connection: AsyncConnection, client_id: UUID, delivery_id: UUID) -> Ended | None:
    """The client's delivery, whether it has ended or not; None where it has none of that id."""
    row = (await connection.execute(_ONE, {"id": delivery_id, "client_id": client_id})).mappings().first()
    return ended_in(row) if row else None


async def reopen(connection: AsyncConnection, asked: Sequence[Reopening], recovery_id: UUID | None = None) -> set[UUID]:
    """Let these wait again, after the gate and their subscription were held; answers which nobody else had taken."""
    if not asked:
        return set()
    reopened = await connection.execute(
        _REOPEN,
        {
            "ids": [each.ended.id for each in asked],
            "ended": [each.ended.updated_at for each in asked],
            "positions": [each.planned_position for each in asked],
            "recovery": recovery_id,
        },
    )
    return set(reopened.scalars())


async def stop_ended(
    connection: AsyncConnection, ended: Sequence[Ended], reason: Reason, stopped: Stopped = told_to_nobody
) -> None:
    """Note of what has failed that the gate stops it for good; what was delivered stays so."""
    if ended:
        noted = await connection.execute(
            _STOP,
            {
                "ids": [each.id for each in ended],
                "ended": [each.updated_at for each in ended],
                "reason": reason.value,
            },
        )
        stopped(reason, noted.rowcount)


def ended_in(mapping: RowMapping) -> Ended:
    """The delivery in a row that has its columns."""
    columns: dict[str, Any] = {**mapping}
    reason = columns.pop("reason")
    return Ended(**columns | {"state": DeliveryState(columns["state"])}, reason=Reason(reason) if reason else None)
