"""Claims: leasing what is due to this process, and taking back what it or a dead one has leased.

An attempt starts when its claim commits. Whatever belongs behind the gate is asked here once more, under a lock that a
deletion needs too, so that no claim commits after the deletion was applied (P5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Claimed, Reason
from shared.contracts import CONFIGURATIONS_EVENTS

from .copies import KEEPER

#: For each subscription with anything waiting, the deliveries due first, no more than its endpoint has free slots; of
#: these the first of every subscription before the second of any, no more than the process has free slots. SKIP LOCKED
#: on both kinds of rows: a claim never waits, so it cannot deadlock with a deletion, which takes the configuration
#: first. What the gate cannot decide now (quarantine, a deletion under way) is put off for a moment.
_CLAIM = text(
    """
    WITH RECURSIVE waiting(subscription_id) AS (
        (SELECT subscription_id FROM deliveries WHERE state = 'WAITING' ORDER BY subscription_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.subscription_id FROM deliveries AS d
                WHERE d.state = 'WAITING' AND d.subscription_id > waiting.subscription_id
                ORDER BY d.subscription_id LIMIT 1)
        FROM waiting WHERE waiting.subscription_id IS NOT NULL),
    due AS MATERIALIZED (
        SELECT s.url, s.sealed_secret, first.*
        FROM waiting
        JOIN subscriptions AS s ON s.id = waiting.subscription_id AND s.enabled AND s.deleted_at IS NULL
        LEFT JOIN unnest(CAST(:busy AS uuid[]), CAST(:taken AS int[])) AS busy(subscription_id, taken)
               ON busy.subscription_id = s.id
        CROSS JOIN LATERAL (
            SELECT d.id, d.subscription_id, d.account_id, d.gated, d.configuration_version, d.due_at
            FROM deliveries AS d
            WHERE d.subscription_id = s.id AND d.state = 'WAITING' AND d.due_at <= clock_timestamp()
            ORDER BY d.due_at
            LIMIT least(greatest(:per_endpoint - coalesce(busy.taken, 0), 0), :free)
            FOR UPDATE SKIP LOCKED) AS first),
    ranked AS (SELECT *, row_number() OVER (PARTITION BY subscription_id ORDER BY due_at) AS turn FROM due),
    chosen AS MATERIALIZED (SELECT * FROM ranked ORDER BY turn, due_at LIMIT :free),
    gates AS MATERIALIZED (
        SELECT account_id, version, configured, quarantined, partition, deletion_position FROM configurations
        WHERE account_id IN (SELECT account_id FROM chosen WHERE gated) ORDER BY account_id FOR SHARE SKIP LOCKED),
    decided AS (
        SELECT chosen.*, gates.deletion_position, applied.position AS projection_position,
               CASE WHEN NOT chosen.gated THEN 'LEASED'
                    WHEN gates.account_id IS NULL OR gates.quarantined IS NOT NULL THEN 'WAITING'
                    WHEN gates.configured AND gates.version = chosen.configuration_version THEN 'LEASED'
                    ELSE 'SUPPRESSED' END AS verdict
        FROM chosen
        LEFT JOIN gates ON chosen.gated AND gates.account_id = chosen.account_id
        LEFT JOIN applied_positions AS applied ON applied.consumer = :keeper AND applied.topic = :topic
                                              AND applied.partition = gates.partition)
    UPDATE deliveries AS d
    SET state = verdict,
        reason = CASE verdict WHEN 'SUPPRESSED' THEN :stopped ELSE d.reason END,
        attempts = d.attempts + CASE verdict WHEN 'LEASED' THEN 1 ELSE 0 END,
        due_at = CASE verdict WHEN 'WAITING' THEN clock_timestamp() + interval '1 second' ELSE d.due_at END,
        lease_token = CASE verdict WHEN 'LEASED' THEN CAST(:token AS uuid) END,
        lease_expires_at = CASE verdict WHEN 'LEASED' THEN clock_timestamp() + make_interval(secs => :seconds) END,
        claimed_at = CASE verdict WHEN 'LEASED' THEN clock_timestamp() ELSE d.claimed_at END,
        projection_position = decided.projection_position, deletion_position = decided.deletion_position,
        updated_at = clock_timestamp()
    FROM decided WHERE d.id = decided.id
    RETURNING d.id, d.subscription_id, d.client_id, d.account_id, d.event_type, d.attempts, d.body, d.state,
              decided.url, decided.sealed_secret
    """
)

#: An attempt that was claimed and not dialled did not happen.
_HAND_BACK = text(
    """
    WITH mine AS (
        SELECT id FROM deliveries
        WHERE id = ANY(CAST(:ids AS uuid[])) AND lease_token = ANY(CAST(:tokens AS uuid[])) ORDER BY id FOR UPDATE)
    UPDATE deliveries AS d
    SET state = CASE WHEN gate_closed THEN 'SUPPRESSED' ELSE coalesce(ends_as, 'WAITING') END,
        reason = CASE WHEN gate_closed THEN :stopped WHEN ends_as = 'DISCARDED' THEN :deleted
                      WHEN ends_as = 'FAILED' THEN :disabled END,
        attempts = attempts - 1, lease_token = NULL, lease_expires_at = NULL, updated_at = clock_timestamp()
    FROM mine WHERE d.id = mine.id
    """
)

#: Leases that have run out: their attempts are lost, nobody knows what came of them.
_RELEASE = text(
    """
    WITH expired AS (
        SELECT id FROM deliveries WHERE state = 'LEASED' AND lease_expires_at < clock_timestamp()
        ORDER BY lease_expires_at LIMIT :at_most FOR UPDATE SKIP LOCKED),
    released AS (
        UPDATE deliveries AS d
        SET state = CASE WHEN gate_closed THEN 'SUPPRESSED' ELSE coalesce(ends_as, 'WAITING') END,
            reason = CASE WHEN gate_closed THEN :stopped WHEN ends_as = 'DISCARDED' THEN :deleted
                          WHEN ends_as = 'FAILED' THEN :disabled END,
            due_at = clock_timestamp(), lease_token = NULL, lease_expires_at = NULL, updated_at = clock_timestamp()
        FROM expired WHERE d.id = expired.id
        RETURNING d.id, d.attempts, d.claimed_at, d.projection_position, d.deletion_position)
    INSERT INTO attempts (delivery_id, number, started_at, outcome, projection_position, deletion_position)
    SELECT id, attempts, claimed_at, 'LOST', projection_position, deletion_position FROM released
    ON CONFLICT DO NOTHING
    """
)

_RELEASED_AT_ONCE = 500
#: what a delivery ends for, where it does not wait again
ENDINGS = {
    "stopped": Reason.CONFIGURATION_DELETED.value,
    "deleted": Reason.SUBSCRIPTION_DELETED.value,
    "disabled": Reason.SUBSCRIPTION_DISABLED.value,
}


@dataclass(frozen=True)
class Capacity:
    """How much this process can take on now."""

    free: int
    per_endpoint: int
    #: subscription -> how many of its deliveries are under way here
    busy: Mapping[UUID, int]


async def claim(connection: AsyncConnection, capacity: Capacity, lease_seconds: float) -> list[Claimed]:
    """Lease what is due and fits; each answer is an attempt that has started."""
    token = uuid4()
    rows = await connection.execute(
        _CLAIM,
        {
            "busy": list(capacity.busy),
            "taken": list(capacity.busy.values()),
            "per_endpoint": capacity.per_endpoint,
            "free": capacity.free,
            "token": token,
            "seconds": lease_seconds,
            "keeper": KEEPER,
            "topic": CONFIGURATIONS_EVENTS.name,
            "stopped": ENDINGS["stopped"],
        },
    )
    return [
        Claimed(
            id=row.id,
            subscription_id=row.subscription_id,
            client_id=row.client_id,
            account_id=row.account_id,
            webhook_type=row.event_type,
            attempt=row.attempts,
            lease_token=token,
            url=row.url,
            sealed_secret=row.sealed_secret,
            body=row.body,
        )
        for row in rows
        if row.state == "LEASED"
    ]


async def hand_back(connection: AsyncConnection, claimed: Sequence[Claimed]) -> None:
    """Give back what was not dialled; what the gate or its subscription's end has met meanwhile ends here."""
    tokens = list({each.lease_token for each in claimed})
    await connection.execute(_HAND_BACK, {"ids": [each.id for each in claimed], "tokens": tokens, **ENDINGS})


async def release_expired(connection: AsyncConnection) -> int:
    """Take back what dead processes had leased; answers how many attempts are lost."""
    released = await connection.execute(_RELEASE, {"at_most": _RELEASED_AT_ONCE, **ENDINGS})
    return released.rowcount
