"""Outcomes: what came of many attempts, recorded in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Attempt, Claimed, NextStep

from .claims import ENDINGS

#: Only leases that are still ours count: a row that was taken back belongs to whoever has claimed it since. A delivery
#: that would wait again ends instead where the gate was closed, or its subscription went, while it was leased.
_RECORD = text(
    """
    WITH came AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:tokens AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
            CAST(:waits AS float8[]), CAST(:started AS timestamptz[]), CAST(:finished AS timestamptz[]),
            CAST(:outcomes AS text[]), CAST(:statuses AS int[]), CAST(:errors AS text[]), CAST(:responses AS bytea[]))
        AS came(id, token, state, reason, wait, started_at, finished_at, outcome, status_code, error, response_body)),
    mine AS (
        SELECT d.id FROM deliveries AS d JOIN came ON came.id = d.id AND came.token = d.lease_token
        ORDER BY d.id FOR UPDATE OF d),
    recorded AS (
        UPDATE deliveries AS d
        SET state = CASE WHEN came.state <> 'WAITING' THEN came.state
                         WHEN d.gate_closed THEN 'SUPPRESSED' ELSE coalesce(d.ends_as, 'WAITING') END,
            reason = CASE WHEN came.state <> 'WAITING' THEN came.reason
                          WHEN d.gate_closed THEN :stopped WHEN d.ends_as = 'DISCARDED' THEN :deleted
                          WHEN d.ends_as = 'FAILED' THEN :disabled END,
            due_at = clock_timestamp() + make_interval(secs => came.wait),
            lease_token = NULL, lease_expires_at = NULL, updated_at = clock_timestamp()
        FROM mine JOIN came USING (id) WHERE d.id = mine.id AND d.lease_token = came.token
        RETURNING d.id, d.attempts, d.projection_position, d.deletion_position)
    INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, status_code, error, response_body,
                          projection_position, deletion_position)
    SELECT recorded.id, recorded.attempts, came.started_at, came.finished_at, came.outcome, came.status_code,
           came.error, came.response_body, recorded.projection_position, recorded.deletion_position
    FROM recorded JOIN came USING (id)
    """
)


@dataclass(frozen=True)
class Recorded:
    """An attempt with its delivery and what follows from it."""

    claimed: Claimed
    attempt: Attempt
    step: NextStep


async def record(connection: AsyncConnection, results: Sequence[Recorded]) -> int:
    """Write what came of attempts whose lease is still ours; answers how many were."""
    attempts = [each.attempt for each in results]
    written = await connection.execute(
        _RECORD,
        {
            "ids": [each.claimed.id for each in results],
            "tokens": [each.claimed.lease_token for each in results],
            "states": [each.step.state.value for each in results],
            "reasons": [each.step.reason and each.step.reason.value for each in results],
            "waits": [each.step.wait for each in results],
            "started": [attempt.started_at for attempt in attempts],
            "finished": [attempt.finished_at for attempt in attempts],
            "outcomes": [attempt.outcome.value for attempt in attempts],
            "statuses": [attempt.status for attempt in attempts],
            "errors": [attempt.error for attempt in attempts],
            "responses": [attempt.response or None for attempt in attempts],
            **ENDINGS,
        },
    )
    return written.rowcount
