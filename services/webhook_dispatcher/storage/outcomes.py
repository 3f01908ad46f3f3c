"""Outcomes: what came of many attempts, recorded in one statement, and what it says about their endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import (
    Attempt,
    CircuitRule,
    Claimed,
    NextStep,
    Reason,
    Report,
    Stopped,
    told_to_nobody,
)

from .endings import MOVE_GONE, REASON_AFTER_LEASE, STATE_AFTER_LEASE, STOPPED, let_next_go

#: Only leases that are still ours count: a row that was taken back belongs to whoever has claimed it since. A delivery
#: that would wait again ends instead where the gate was closed, or its subscription went, while it was leased.
_RECORD = text(
    f"""
    WITH came AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:tokens AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
            CAST(:waits AS float8[]), CAST(:started AS timestamptz[]), CAST(:finished AS timestamptz[]),
            CAST(:outcomes AS text[]), CAST(:statuses AS int[]), CAST(:errors AS text[]), CAST(:responses AS bytea[]))
        AS came(id, token, state, reason, wait, started_at, finished_at, outcome, status_code, error, response_body)
        ORDER BY id),
    mine AS MATERIALIZED (
        SELECT d.id, d.attempts, d.projection_position, d.deletion_position, came.wait, came.started_at,
               came.finished_at, came.outcome, came.status_code, came.error, came.response_body,
               CASE WHEN came.state <> 'WAITING' THEN came.state ELSE {STATE_AFTER_LEASE} END AS state,
               CASE WHEN came.state <> 'WAITING' THEN came.reason ELSE {REASON_AFTER_LEASE} END AS reason
        FROM came CROSS JOIN LATERAL (
            SELECT * FROM deliveries_open WHERE id = came.id AND lease_token = came.token FOR UPDATE) AS d),
    waiting AS (
        UPDATE deliveries_open AS d
        SET state = 'WAITING', due_at = clock_timestamp() + make_interval(secs => mine.wait), lease_token = NULL,
            updated_at = now()
        FROM mine WHERE d.id = ANY(ARRAY[mine.id]) AND mine.state = 'WAITING'),
    gone AS (
        DELETE FROM deliveries_open AS d USING mine WHERE d.id = ANY(ARRAY[mine.id]) AND mine.state <> 'WAITING'
        RETURNING d.*, mine.state AS final_state, mine.reason AS final_reason),
    moved AS ({MOVE_GONE}),
    noted AS (
        INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, status_code, error, response_body,
                              projection_position, deletion_position)
        SELECT id, attempts, started_at, finished_at, outcome, status_code, error, response_body, projection_position,
               deletion_position
        FROM mine)
    SELECT count(*) AS written, count(*) FILTER (WHERE state = 'SUPPRESSED') AS suppressed FROM mine
    """  # noqa: S608 -- our own conditions
)

#: What is as it was is not written. While a circuit is open, what fails was under way before; a delivery closes it at
#: any time. The jitter keeps many circuits of one host from asking at the same moments.
_REPORT = text(
    """
    WITH told AS (
        SELECT told.subscription_id, told.pace, delivered, told.failures, e.open_until,
               CASE WHEN delivered THEN told.failures ELSE e.failures + told.failures END AS in_a_row
        FROM unnest(CAST(:subscriptions AS uuid[]), CAST(:paces AS text[]), CAST(:delivered AS boolean[]),
                    CAST(:failures AS int[])) AS told(subscription_id, pace, delivered, failures)
        JOIN endpoints AS e ON e.subscription_id = ANY(ARRAY[told.subscription_id])
        WHERE e.probe_until IS NOT NULL OR e.open_until IS NOT NULL
           OR (coalesce(told.pace, e.pace), told.failures) IS DISTINCT FROM (e.pace, 0)
           OR (delivered AND e.failures > 0)
        ORDER BY told.subscription_id FOR UPDATE OF e),
    turned AS (
        SELECT *,
               CASE WHEN delivered AND in_a_row < CAST(:at_most AS int) THEN 'CLOSED'
                    WHEN failures = 0 OR open_until > now() THEN 'AS IT WAS'
                    WHEN open_until IS NOT NULL OR in_a_row >= CAST(:at_most AS int) THEN 'OPENED'
                    ELSE 'AS IT WAS' END AS circuit
        FROM told)
    UPDATE endpoints AS e
    SET pace = coalesce(turned.pace, e.pace),
        failures = in_a_row,
        failing_since = CASE WHEN in_a_row = 0 THEN NULL
                             WHEN delivered OR e.failing_since IS NULL THEN now() ELSE e.failing_since END,
        failed_at = CASE WHEN turned.failures > 0 THEN now() ELSE e.failed_at END,
        opened = CASE circuit WHEN 'CLOSED' THEN 0 WHEN 'OPENED' THEN e.opened + 1 ELSE e.opened END,
        open_until = CASE circuit WHEN 'CLOSED' THEN NULL
                     WHEN 'OPENED' THEN now() + (0.75 + random() / 2) * make_interval(secs =>
                          least(CAST(:longest AS float8), CAST(:open_seconds AS float8) * 2 ^ least(e.opened, 30)))
                     ELSE e.open_until END,
        probe_until = NULL
    FROM turned WHERE e.subscription_id = ANY(ARRAY[turned.subscription_id])
    """
)


@dataclass(frozen=True)
class Recorded:
    """An attempt with its delivery and what follows from it."""

    claimed: Claimed
    attempt: Attempt
    step: NextStep


async def record(connection: AsyncConnection, results: Sequence[Recorded], stopped: Stopped = told_to_nobody) -> int:
    """Write what came of attempts whose lease is still ours; answers how many were."""
    attempts = [each.attempt for each in results]
    recorded = await connection.execute(
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
            **STOPPED,
        },
    )
    lines = {(each.subscription_id, each.account_id) for each in map(_claimed, results) if each.ordered}
    await let_next_go(connection, {(subscription, account) for subscription, account in lines if account})
    told = recorded.one()
    stopped(Reason.CONFIGURATION_DELETED, told.suppressed)
    written: int = told.written
    return written


def _claimed(recorded: Recorded) -> Claimed:
    return recorded.claimed


async def report(connection: AsyncConnection, reports: Sequence[Report], rule: CircuitRule) -> None:
    """Note how endpoints do, and open and close their circuits by it; after their deliveries were recorded."""
    if not reports:
        return
    await connection.execute(
        _REPORT,
        {
            "subscriptions": [each.subscription_id for each in reports],
            "paces": [each.pace and each.pace.value for each in reports],
            "delivered": [each.delivered for each in reports],
            "failures": [each.failures for each in reports],
            "at_most": rule.failures,
            "open_seconds": rule.open_seconds,
            "longest": rule.longest,
        },
    )
