"""What comes back without an outcome: claimed and not dialled, or leased by a process that has died."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Claimed, DeliveryState, Reason, Stopped, told_to_nobody

from .endings import MOVE_GONE, REASON_AFTER_LEASE, STATE_AFTER_LEASE, STOPPED, let_next_go

#: An attempt that was claimed and not dialled did not happen; a probe that was not made is the next one's to make.
_HAND_BACK = text(
    f"""
    WITH mine AS MATERIALIZED (
        SELECT d.id, {STATE_AFTER_LEASE} AS state, {REASON_AFTER_LEASE} AS reason
        FROM (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[])) AS claimed(id, token) ORDER BY id)
             AS claimed
        CROSS JOIN LATERAL (
            SELECT * FROM deliveries_open WHERE id = claimed.id AND lease_token = claimed.token FOR UPDATE) AS d),
    waiting AS (
        UPDATE deliveries_open AS d
        SET state = 'WAITING', attempts = d.attempts - 1, lease_token = NULL, updated_at = now()
        FROM mine WHERE d.id = ANY(ARRAY[mine.id]) AND mine.state = 'WAITING'
        RETURNING d.subscription_id),
    gone AS (
        DELETE FROM deliveries_open AS d USING mine WHERE d.id = ANY(ARRAY[mine.id]) AND mine.state <> 'WAITING'
        RETURNING d.*, mine.state AS final_state, mine.reason AS final_reason),
    moved AS ({MOVE_GONE}),
    probes AS (
        UPDATE endpoints SET probe_until = NULL
        WHERE probe_until IS NOT NULL
          AND subscription_id = ANY(ARRAY(SELECT subscription_id FROM waiting
                                          UNION ALL SELECT subscription_id FROM gone)))
    SELECT subscription_id, account_id, ordered, final_state FROM gone
    """  # noqa: S608 -- our own conditions
)

#: Leases that have run out: their attempts are lost, nobody knows what came of them.
_RELEASE = text(
    f"""
    WITH expired AS (
        DELETE FROM leases WHERE token = ANY(ARRAY(
            SELECT token FROM leases WHERE expires_at < clock_timestamp()
            ORDER BY expires_at LIMIT :at_most FOR UPDATE SKIP LOCKED))
        RETURNING token, deliveries),
    lost AS MATERIALIZED (
        SELECT d.id, {STATE_AFTER_LEASE} AS state, {REASON_AFTER_LEASE} AS reason, d.attempts, d.claimed_at,
               d.projection_position, d.deletion_position
        FROM (SELECT token, id FROM expired, unnest(deliveries) AS id ORDER BY id) AS leased
        CROSS JOIN LATERAL (
            SELECT * FROM deliveries_open WHERE id = leased.id AND lease_token = leased.token FOR UPDATE) AS d),
    waiting AS (
        UPDATE deliveries_open AS d SET state = 'WAITING', due_at = now(), lease_token = NULL, updated_at = now()
        FROM lost WHERE d.id = ANY(ARRAY[lost.id]) AND lost.state = 'WAITING'),
    gone AS (
        DELETE FROM deliveries_open AS d USING lost WHERE d.id = ANY(ARRAY[lost.id]) AND lost.state <> 'WAITING'
        RETURNING d.*, lost.state AS final_state, lost.reason AS final_reason),
    moved AS ({MOVE_GONE}),
    noted AS (
        INSERT INTO attempts (delivery_id, number, started_at, outcome, projection_position, deletion_position)
        SELECT id, attempts, claimed_at, 'LOST', projection_position, deletion_position FROM lost)
    SELECT count(*) AS lost, count(*) FILTER (WHERE state = 'SUPPRESSED') AS suppressed, NULL AS subscription_id,
           NULL AS account_id
    FROM lost
    UNION ALL SELECT 0, 0, subscription_id, account_id FROM gone WHERE ordered
    """  # noqa: S608 -- our own conditions
)

#: leases, each of one claim
_RELEASED_AT_ONCE = 100


async def hand_back(connection: AsyncConnection, claimed: Sequence[Claimed], stopped: Stopped = told_to_nobody) -> None:
    """Give back what was not dialled; what the gate or its subscription's end has met meanwhile ends here."""
    given = {
        "ids": [each.id for each in claimed],
        "tokens": [each.lease_token for each in claimed],
    }
    ended = (await connection.execute(_HAND_BACK, {**given, **STOPPED})).all()
    stopped(Reason.CONFIGURATION_DELETED, sum(row.final_state == DeliveryState.SUPPRESSED for row in ended))
    await let_next_go(connection, {(row.subscription_id, row.account_id) for row in ended if row.ordered})


async def release_expired(connection: AsyncConnection, stopped: Stopped = told_to_nobody) -> int:
    """Take back what dead processes had leased; answers how many attempts are lost."""
    lost = (await connection.execute(_RELEASE, {"at_most": _RELEASED_AT_ONCE, **STOPPED})).all()
    stopped(Reason.CONFIGURATION_DELETED, sum(row.suppressed for row in lost))
    await let_next_go(connection, {(row.subscription_id, row.account_id) for row in lost if row.subscription_id})
    return sum(row.lost for row in lost)
