"""Claims: leasing what is due to this process.

An attempt starts when its claim commits. Whatever belongs behind the gate is asked here once more, under a lock that a
deletion needs too, so that no claim commits after the deletion was applied (P5). Circuits, rate limits and the order of
ordered subscriptions are decided here as well, since this is the one place that every attempt of every process passes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Claimed, Reason, Stopped, told_to_nobody
from shared.contracts import CONFIGURATIONS_EVENTS

from .capacity import Capacity
from .copies import KEEPER
from .endings import MOVE_GONE, STOPPED, let_next_go

#: How the planner is to go about it. A queue may hold nothing when a plan is made, and a million rows by the time it is
#: used again: whatever reads all of a table looked cheap then and stops the deliveries now. Every statement here is
#: written for indexes and nested loops, which never cost more than what they find: open rows are locked one by one, in
#: a LATERAL that cannot be turned round, and `= ANY(ARRAY(…))` stands where an IN would become a join of two sets.
#: `= ANY(ARRAY[…])` around a single value is `=` that cannot be turned round either: an ordinary join is taken from
#: whichever side looked smaller, which after a vacuum of the empty queue is the queue. Where even that may begin at the
#: wrong end, since both sides are few, there is a LATERAL with OFFSET 0, which is carried out as it is written.
BY_INDEX = {f"enable_{way}": "off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")}
#: One plan serves for all: to make one takes longer than to carry it out.
BY_INDEX |= {"plan_cache_mode": "force_generic_plan"}

#: Where the clock of a rate limit stands at least: claims may come this much late without losing any of the rate, and
#: this much more than the rate may go out at once. In ten seconds that is three in a hundred and one request.
_SLACK = "now() - interval '300 milliseconds'"

#: Who may be sent to at all: enabled, of a client that is not revoked, its circuit not open (half-open only while
#: nobody's probe is under way), and not at its rate limit. To be asked of subscriptions as s and endpoints as e.
_MAY_BE_SENT = """
    s.enabled AND s.deleted_at IS NULL AND s.paused_at IS NULL
    AND NOT EXISTS (SELECT FROM clients WHERE clients.client_id = s.client_id AND revoked)
    AND (e.open_until IS NULL OR (e.open_until <= now() AND coalesce(e.probe_until, '-infinity') <= now()))
    AND (s.rate_limit IS NULL OR e.served_until <= now())
"""

#: The subscriptions with something due, `after` a place to go round from: one step in an index for each that has
#: anything open, however much that is.
_LOOK = f"""
    WITH RECURSIVE first_due(subscription_id, due_at, step) AS (
        (SELECT subscription_id, due_at, 1 FROM deliveries_open
         WHERE subscription_id > $1 ORDER BY subscription_id, due_at LIMIT 1)
        UNION ALL
        SELECT next.subscription_id, next.due_at, first_due.step + 1
        FROM first_due CROSS JOIN LATERAL (
            SELECT d.subscription_id, d.due_at FROM deliveries_open AS d
            WHERE d.subscription_id > first_due.subscription_id ORDER BY d.subscription_id, d.due_at LIMIT 1) AS next
        WHERE first_due.step < $2)
    SELECT first_due.subscription_id, first_due.due_at <= now() AND {_MAY_BE_SENT} AS due
    FROM first_due
    CROSS JOIN LATERAL (SELECT * FROM subscriptions WHERE id = first_due.subscription_id OFFSET 0) AS s
    CROSS JOIN LATERAL (SELECT * FROM endpoints WHERE subscription_id = first_due.subscription_id OFFSET 0) AS e
    ORDER BY first_due.step
"""  # noqa: S608 -- our own conditions

#: For each subscription asked about, the deliveries due first, no more than its endpoint may be sent now; of these the
#: first of every client before the second of any, and among a client's the first of every subscription, no more than
#: the process has free slots. What an endpoint has under way here counts as turns that it has had.
#:
#: Endpoints that answer quickly have slots of their own. One that was never tried or did not answer gets a single one,
#: and these slots are apart, so that however many endpoints hang, the others do not notice.
#:
#: A half-open circuit and a rate limit are decided under the lock of the endpoint's row. SKIP LOCKED on all kinds of
#: rows: a claim never waits, so it cannot deadlock with a deletion, which takes the configuration first. What the gate
#: cannot decide now (quarantine, a deletion under way) is put off for a moment.
#:
#: Rows are found again by their place in the table: one that has changed since is somebody else's by now.
#:
#: Of an ordered account nothing is taken while anything open stands before it. Where many such rows are in the way of
#: other accounts, they are put behind: under the lock of the row they stand behind, whose end lets the next one go.
_CLAIM = text(
    f"""
    WITH asked AS MATERIALIZED (
        SELECT s.id AS subscription_id, s.client_id, s.url, s.sealed_secret, s.timeout_seconds, s.rate_limit, s.ordered
               AS in_lines, asked.taken, asked.strained, e.pace, e.open_until IS NOT NULL AS on_probation,
               e.open_until IS NOT NULL OR s.rate_limit IS NOT NULL AS under_lock, s.retry_schedule,
               CASE WHEN s.sealed_access IS NOT NULL THEN s.revision END AS access_revision
        FROM unnest(CAST(:among AS uuid[]), CAST(:taken AS int[]), CAST(:strained AS boolean[]))
             AS asked(id, taken, strained)
        CROSS JOIN LATERAL (SELECT * FROM subscriptions WHERE id = asked.id OFFSET 0) AS s
        CROSS JOIN LATERAL (SELECT * FROM endpoints WHERE subscription_id = asked.id OFFSET 0) AS e
        WHERE {_MAY_BE_SENT}),
    held AS MATERIALIZED (
        SELECT e.subscription_id, e.open_until IS NOT NULL AS on_probation, greatest(e.served_until, {_SLACK}) AS served
        FROM endpoints AS e
        WHERE e.subscription_id = ANY(ARRAY(SELECT subscription_id FROM asked WHERE under_lock))
          AND (e.open_until IS NULL OR (e.open_until <= now() AND coalesce(e.probe_until, '-infinity') <= now()))
          AND e.served_until <= now()
        ORDER BY e.subscription_id FOR UPDATE SKIP LOCKED),
    ready AS MATERIALIZED (
        SELECT asked.*, held.served, coalesce(clients.taken, 0) AS clients_taken,
               pace = 'QUICK' AND NOT asked.on_probation AND NOT strained AS quick,
               least(CASE WHEN asked.on_probation THEN 1
                          WHEN pace IN ('QUICK', 'SLOW') AND NOT strained THEN CAST(:per_endpoint AS int) - asked.taken
                          ELSE 1 - asked.taken END,
                     floor(extract(epoch FROM now() - held.served) * asked.rate_limit) + 1)::int AS room
        FROM asked
        LEFT JOIN held USING (subscription_id)
        LEFT JOIN unnest(CAST(:busy_clients AS uuid[]), CAST(:clients_taken AS int[])) AS clients(client_id, taken)
               ON clients.client_id = asked.client_id
        WHERE NOT under_lock OR held.subscription_id IS NOT NULL),
    due AS MATERIALIZED (
        SELECT ready.*, first.*, before.id AS behind,
               count(before.id) OVER (PARTITION BY subscription_id) AS in_the_way
        FROM ready
        CROSS JOIN LATERAL (
            SELECT d.ctid AS at, d.id, d.account_id, d.ordered, d.place, d.gated, d.configuration_version, d.due_at
            FROM deliveries_open AS d
            WHERE d.subscription_id = ready.subscription_id AND d.state = 'WAITING' AND d.due_at <= now()
            ORDER BY d.due_at
            LIMIT greatest(ready.room, CASE WHEN ready.in_lines THEN CAST(:window AS int) END)) AS first
        LEFT JOIN LATERAL (
            SELECT d.id FROM deliveries_open AS d
            WHERE first.ordered AND d.ordered AND d.subscription_id = ready.subscription_id
              AND d.account_id = first.account_id AND d.place < first.place
            ORDER BY d.place LIMIT 1) AS before ON true
        WHERE ready.room > 0),
    fits AS (
        SELECT *, taken + nth AS turn
        FROM (SELECT *, row_number() OVER (PARTITION BY subscription_id ORDER BY due_at, place) AS nth FROM due
              WHERE behind IS NULL) AS free
        WHERE nth <= room),
    turns AS (
        SELECT *, clients_taken + row_number() OVER (PARTITION BY quick, client_id ORDER BY turn, due_at)
                  AS clients_turn
        FROM fits),
    chosen AS MATERIALIZED (
        SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY quick ORDER BY clients_turn, turn, due_at) AS rank
                       FROM turns) AS ranked
        WHERE rank <= CASE WHEN quick THEN CAST(:free AS int) ELSE CAST(:free_for_slow AS int) END),
    locked AS MATERIALIZED (
        SELECT chosen.* FROM chosen CROSS JOIN LATERAL (
            SELECT FROM deliveries_open AS d
            WHERE d.ctid = chosen.at AND d.state = 'WAITING' AND d.due_at <= now()
            FOR NO KEY UPDATE SKIP LOCKED) AS mine),
    decided AS MATERIALIZED (
        SELECT locked.*, gates.deletion_position, applied.position AS projection_position,
               CASE WHEN NOT locked.gated THEN 'LEASED'
                    WHEN gates.account_id IS NULL OR gates.quarantined IS NOT NULL THEN 'WAITING'
                    WHEN gates.configured AND gates.version = locked.configuration_version THEN 'LEASED'
                    ELSE 'SUPPRESSED' END AS verdict
        FROM locked
        LEFT JOIN LATERAL (
            SELECT account_id, version, configured, quarantined, partition, deletion_position FROM configurations
            WHERE locked.gated AND account_id = locked.account_id FOR SHARE SKIP LOCKED) AS gates ON true
        LEFT JOIN LATERAL (
            SELECT position FROM applied_positions AS applied
            WHERE locked.gated AND consumer = :keeper AND topic = :topic AND applied.partition = gates.partition
            OFFSET 0) AS applied ON true),
    leased AS (
        UPDATE deliveries_open AS d
        SET state = 'LEASED', attempts = d.attempts + 1, lease_token = CAST(:token AS uuid), claimed_at = now(),
            projection_position = decided.projection_position, deletion_position = decided.deletion_position,
            updated_at = now()
        FROM decided WHERE d.ctid = decided.at AND verdict = 'LEASED'
        RETURNING d.id, d.subscription_id, d.account_id, d.ordered, d.event_type, d.attempts, d.tried_before, d.body,
                  d.lease_token, decided.client_id, decided.url, decided.sealed_secret, decided.timeout_seconds,
                  decided.quick, decided.room, decided.served, decided.rate_limit, decided.on_probation,
                  decided.retry_schedule, decided.access_revision, d.event_time, d.traceparent),
    lease AS (
        INSERT INTO leases (token, expires_at, deliveries)
        SELECT lease_token, clock_timestamp() + make_interval(secs => CAST(:seconds AS float8)), array_agg(id)
        FROM leased GROUP BY lease_token),
    served AS (
        UPDATE endpoints AS e
        SET served_until = CASE WHEN sent.rate_limit IS NULL THEN e.served_until
                           ELSE sent.served + make_interval(secs => sent.count / sent.rate_limit::float8) END,
            probe_until = CASE WHEN sent.on_probation
                          THEN clock_timestamp() + make_interval(secs => CAST(:seconds AS float8)) END
        FROM (SELECT subscription_id, served, rate_limit, on_probation, count(*) FROM leased
              WHERE on_probation OR rate_limit IS NOT NULL GROUP BY 1, 2, 3, 4) AS sent
        WHERE e.subscription_id = ANY(ARRAY[sent.subscription_id])),
    put_off AS (
        UPDATE deliveries_open AS d SET due_at = now() + interval '1 second', updated_at = now()
        FROM decided WHERE d.ctid = decided.at AND verdict = 'WAITING'),
    gone AS (
        DELETE FROM deliveries_open AS d USING decided WHERE d.ctid = decided.at AND verdict = 'SUPPRESSED'
        RETURNING d.*, verdict AS final_state, CAST(:stopped AS text) AS final_reason),
    moved AS ({MOVE_GONE}),
    ahead AS MATERIALIZED (
        SELECT id FROM deliveries_open
        WHERE id = ANY(ARRAY(SELECT behind FROM due WHERE 2 * in_the_way >= CAST(:window AS int)))
        FOR NO KEY UPDATE SKIP LOCKED),
    behind AS MATERIALIZED (
        SELECT due.id FROM due JOIN ahead ON ahead.id = due.behind CROSS JOIN LATERAL (
            SELECT FROM deliveries_open AS d
            WHERE d.id = due.id AND d.state = 'WAITING' AND d.due_at <= now()
            FOR NO KEY UPDATE SKIP LOCKED) AS mine),
    put_behind AS (
        UPDATE deliveries_open AS d SET put_behind_at = d.due_at, due_at = now() + interval '10 minutes'
        FROM behind WHERE d.id = ANY(ARRAY[behind.id]))
    SELECT id, subscription_id, account_id, ordered, event_type, attempts, tried_before, body, lease_token, client_id,
           url, sealed_secret, timeout_seconds, quick, count(*) OVER (PARTITION BY subscription_id) >= room AS more,
           retry_schedule, access_revision, event_time, traceparent
    FROM leased
    UNION ALL
    SELECT id, subscription_id, account_id, ordered, NULL, NULL, NULL, NULL, NULL, client_id, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL
    FROM gone
    """  # noqa: S608 -- our own conditions
)

#: how many rows of an ordered subscription are looked through for accounts that may be sent
_WINDOW = 128
_FIRST = UUID(int=0)


@dataclass(frozen=True)
class Looked:
    """Which subscriptions have something due, and where to look on from; None: from the beginning."""

    due: list[UUID]
    last: UUID | None


async def look(connection: asyncpg.Connection, after: UUID | None, at_most: int) -> Looked:
    """Find the subscriptions that have something due and may be sent to, `at_most` subscriptions looked at."""
    rows = await connection.fetch(_LOOK, after or _FIRST, at_most)
    last = rows[-1]["subscription_id"] if len(rows) >= at_most else None
    return Looked([row["subscription_id"] for row in rows if row["due"]], last)


async def claim(
    connection: AsyncConnection,
    capacity: Capacity,
    lease_seconds: float,
    among: Collection[UUID],
    stopped: Stopped = told_to_nobody,
) -> list[Claimed]:
    """Lease what is due for the subscriptions `among` and fits; each answer is an attempt that has started."""
    rows = (await connection.execute(_CLAIM, _arguments(capacity, lease_seconds, list(among)))).all()
    stopped(Reason.CONFIGURATION_DELETED, sum(not row.lease_token for row in rows))
    lines = {(row.subscription_id, row.account_id) for row in rows if row.ordered and not row.lease_token}
    await let_next_go(connection, lines)
    return [
        Claimed(
            id=row.id,
            subscription_id=row.subscription_id,
            client_id=row.client_id,
            account_id=row.account_id,
            webhook_type=row.event_type,
            attempt=row.attempts,
            tried_before=row.tried_before,
            lease_token=row.lease_token,
            url=row.url,
            sealed_secret=row.sealed_secret,
            body=row.body,
            ordered=row.ordered,
            timeout=row.timeout_seconds,
            schedule=row.retry_schedule,
            access_revision=row.access_revision,
            quick=row.quick,
            more=row.more,
            event_time=row.event_time,
            traceparent=row.traceparent,
        )
        for row in rows
        if row.lease_token
    ]


def _arguments(capacity: Capacity, lease_seconds: float, among: Sequence[UUID]) -> dict[str, object]:
    return {
        "among": among,
        "taken": [capacity.busy.get(each, 0) for each in among],
        "strained": [each in capacity.strained for each in among],
        "busy_clients": list(capacity.busy_clients),
        "clients_taken": list(capacity.busy_clients.values()),
        "per_endpoint": capacity.per_endpoint,
        "free": capacity.free,
        "free_for_slow": capacity.free_for_slow,
        "window": _WINDOW,
        "token": uuid4(),
        "seconds": lease_seconds,
        "keeper": KEEPER,
        "topic": CONFIGURATIONS_EVENTS.name,
        **STOPPED,
    }
