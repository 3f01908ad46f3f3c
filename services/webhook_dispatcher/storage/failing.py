"""Endpoints that have failed for days: their subscriptions are switched off.

What waits for those, and more than one transaction may end of what waits for others that are switched off, deleted or
of a revoked client, is ended here bit by bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .endings import MOVE_GONE

#: The days are counted from the first failed attempt after the last success to the last one, so that an endpoint that
#: nothing was sent to has not failed; and from the subscription's last change, so that it has them anew after that.
#: What was switched off meanwhile, by another replica or its client, is left alone: each is answered once.
_GIVE_UP = text(
    """
    WITH failing AS MATERIALIZED (
        SELECT s.id FROM endpoints AS e JOIN subscriptions AS s ON s.id = ANY(ARRAY[e.subscription_id])
        WHERE e.failing_since <= now() - make_interval(secs => CAST(:seconds AS float8))
          AND e.failed_at - greatest(e.failing_since, s.updated_at) >= make_interval(secs => CAST(:seconds AS float8))
          AND s.enabled AND s.deleted_at IS NULL
        ORDER BY s.id LIMIT :at_most FOR UPDATE OF s SKIP LOCKED),
    off AS (
        UPDATE subscriptions AS s
        SET enabled = false, disabled_reason = :reason, revision = revision + 1, updated_at = clock_timestamp()
        FROM failing WHERE s.id = ANY(ARRAY[failing.id])
        RETURNING s.id, s.client_id, s.updated_at AS disabled_at),
    given_up AS (
        UPDATE endpoints AS e SET given_up_at = now() FROM off WHERE e.subscription_id = ANY(ARRAY[off.id]))
    SELECT id, client_id, disabled_at FROM off
    """
)

#: Some of what waits for one of them, however much it is. What is leased comes back to wait, and is met then. Rows that
#: others hold are left for the next time, so that nobody waits for anybody. It is done with where nothing is open, or
#: where the subscription has been switched on again.
_END_SOME = text(
    f"""
    WITH given_up AS MATERIALIZED (
        SELECT e.subscription_id,
               CASE WHEN s.deleted_at IS NOT NULL THEN 'SUBSCRIPTION_DELETED'
                    WHEN c.revoked THEN 'CLIENT_REVOKED'
                    WHEN NOT s.enabled THEN 'SUBSCRIPTION_DISABLED' END AS reason
        FROM endpoints AS e
        JOIN subscriptions AS s ON s.id = ANY(ARRAY[e.subscription_id])
        LEFT JOIN clients AS c ON c.client_id = ANY(ARRAY[s.client_id])
        WHERE e.given_up_at IS NOT NULL ORDER BY e.given_up_at LIMIT 1 FOR NO KEY UPDATE OF e SKIP LOCKED),
    waiting AS MATERIALIZED (
        SELECT d.id, given_up.reason FROM given_up CROSS JOIN LATERAL (
            SELECT id FROM deliveries_open
            WHERE subscription_id = given_up.subscription_id AND state = 'WAITING' AND given_up.reason IS NOT NULL
            ORDER BY due_at LIMIT :at_most FOR UPDATE SKIP LOCKED) AS d),
    gone AS (
        DELETE FROM deliveries_open AS d USING waiting WHERE d.id = ANY(ARRAY[waiting.id])
        RETURNING d.*, CASE waiting.reason WHEN 'SUBSCRIPTION_DISABLED' THEN 'FAILED' ELSE 'DISCARDED' END
                       AS final_state, waiting.reason AS final_reason),
    moved AS ({MOVE_GONE}),
    over AS (
        UPDATE endpoints AS e
        SET given_up_at = CASE WHEN given_up.reason IS NULL OR NOT EXISTS (
                SELECT FROM deliveries_open AS d WHERE d.subscription_id = e.subscription_id) THEN NULL
            ELSE clock_timestamp() END
        FROM given_up WHERE e.subscription_id = ANY(ARRAY[given_up.subscription_id]))
    SELECT count(*) FROM gone
    """  # noqa: S608 -- our own conditions
)


@dataclass(frozen=True)
class GivenUp:
    """A subscription that was switched off since its endpoint has failed for too long."""

    id: UUID
    client_id: UUID
    disabled_at: datetime


async def give_up_failing(connection: AsyncConnection, seconds: float, reason: str, at_most: int) -> Sequence[GivenUp]:
    """Switch off what has failed for so long without any success; answers each only to the one who did."""
    asked = {"seconds": seconds, "reason": reason, "at_most": at_most}
    return [GivenUp(**row) for row in (await connection.execute(_GIVE_UP, asked)).mappings()]


async def end_some_given_up(connection: AsyncConnection, at_most: int) -> int:
    """End some of what waits for subscriptions that are off, deleted, or of a revoked client; answers how many."""
    ended: int = (await connection.execute(_END_SOME, {"at_most": at_most})).scalar_one()
    return ended
