"""Deliveries: planned, stopped by the gate, ended with their subscription."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import DeliveryState, Planned, Reason, Stopped, told_to_nobody

from .copies import Deletion
from .endings import MOVE_GONE, let_next_go
from .packages import as_json

#: how many deliveries one statement inserts: their bodies are in memory meanwhile
_AT_ONCE = 1000
#: how many are ended in one transaction: a long one would hold up the relay's cursor
ENDED_AT_ONCE: Final = 5000

#: In the order given, which becomes their place in line.
_PLAN = text(
    """
    INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time, event_type,
                            gated, configuration_version, state, reason, body, planned_position, ordered, due_at,
                            package_size, more_event_ids, more_event_types, traceparent)
    SELECT id, subscription_id, client_id, account_id, source, event_id, time, type, gated, version, state, reason,
           body, position, ordered, clock_timestamp() + make_interval(secs => delay), size,
           CASE WHEN more_ids IS NULL THEN '{}' ELSE ARRAY(SELECT jsonb_array_elements_text(more_ids)) END,
           CASE WHEN more_types IS NULL THEN '{}' ELSE ARRAY(SELECT jsonb_array_elements_text(more_types)) END,
           traceparent
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:subscriptions AS uuid[]), CAST(:clients AS uuid[]), CAST(:accounts AS uuid[]),
        CAST(:sources AS text[]), CAST(:event_ids AS text[]), CAST(:times AS timestamptz[]), CAST(:types AS text[]),
        CAST(:gated AS boolean[]), CAST(:versions AS bigint[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
        CAST(:bodies AS bytea[]), CAST(:positions AS bigint[]), CAST(:ordered AS boolean[]), CAST(:delays AS float8[]),
        CAST(:sizes AS int[]), CAST(:more_ids AS jsonb[]), CAST(:more_types AS jsonb[]), CAST(:traceparents AS text[]))
        WITH ORDINALITY
        AS planned(id, subscription_id, client_id, account_id, source, event_id, time, type, gated, version, state,
                   reason, body, position, ordered, delay, size, more_ids, more_types, traceparent, nth)
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
        FROM stopped WHERE d.id = ANY(ARRAY[stopped.id]) AND stopped.state = 'LEASED'),
    gone AS (
        DELETE FROM deliveries_open AS d USING stopped WHERE d.id = ANY(ARRAY[stopped.id]) AND stopped.state = 'WAITING'
        RETURNING d.*, 'SUPPRESSED' AS final_state, CAST(:reason AS text) AS final_reason),
    moved AS ({MOVE_GONE})
    SELECT count(*) AS stopped, (SELECT count(*) FROM gone) AS suppressed, NULL AS subscription_id, NULL AS account_id
    FROM stopped
    UNION ALL SELECT DISTINCT 0, 0, subscription_id, account_id FROM gone WHERE ordered
    """  # noqa: S608 -- our own conditions
)

#: As above, for what belongs to subscriptions that are gone or switched off: so that nothing is next. What is leased
#: keeps the reason for the time when its attempt is over. What waits beyond a bound is left to a job, since one
#: transaction would have to end millions; nothing of it is claimed meanwhile.
_END = text(
    f"""
    WITH found AS MATERIALIZED (
        (SELECT d.id FROM unnest(CAST(:subscriptions AS uuid[])) AS named(id)
         CROSS JOIN LATERAL (
            SELECT id FROM deliveries_open WHERE subscription_id = named.id AND state = 'WAITING'
            ORDER BY due_at LIMIT :at_most) AS d
         LIMIT :at_most)
        UNION ALL
        SELECT id FROM deliveries_open
        WHERE subscription_id = ANY(CAST(:subscriptions AS uuid[])) AND state = 'LEASED'),
    ended AS MATERIALIZED (
        SELECT d.id, d.state FROM (SELECT id FROM found ORDER BY id) AS found
        CROSS JOIN LATERAL (SELECT id, state FROM deliveries_open WHERE id = found.id FOR UPDATE) AS d),
    marked AS (
        UPDATE deliveries_open AS d
        SET ends_as = CAST(:state AS text), reason = CAST(:reason AS text), updated_at = clock_timestamp()
        FROM ended WHERE d.id = ANY(ARRAY[ended.id]) AND ended.state = 'LEASED'),
    gone AS (
        DELETE FROM deliveries_open AS d USING ended WHERE d.id = ANY(ARRAY[ended.id]) AND ended.state = 'WAITING'
        RETURNING d.*, CAST(:state AS text) AS final_state, CAST(:reason AS text) AS final_reason),
    moved AS ({MOVE_GONE})
    SELECT (SELECT count(*) FROM ended) AS ended, count(*) AS found FROM found
    """  # noqa: S608 -- our own conditions
)

#: Leaves the rest to the job that ends it bit by bit (`failing.py`).
_LEAVE_THE_REST = text(
    """
    UPDATE endpoints SET given_up_at = clock_timestamp()
    WHERE subscription_id = ANY(CAST(:subscriptions AS uuid[])) AND given_up_at IS NULL
    """
)


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
                "more_ids": [as_json([id_ for id_, _ in each.more]) if each.more else None for each in part],
                "more_types": [as_json([type_ for _, type_ in each.more]) if each.more else None for each in part],
                "traceparents": [each.traceparent for each in part],
            },
        )


async def close_gate(
    connection: AsyncConnection, deletions: Sequence[Deletion], stopped: Stopped = told_to_nobody
) -> int:
    """Stop what belongs to the deleted versions, after their configuration rows were updated; answers how many.

    `stopped` is told of those that waited: what is leased may be delivered yet.
    """
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
    rows = closed.all()
    await let_next_go(connection, {(row.subscription_id, row.account_id) for row in rows if row.subscription_id})
    stopped(Reason.CONFIGURATION_DELETED, sum(row.suppressed for row in rows))
    return sum(row.stopped for row in rows)


async def end_deliveries_of(
    connection: AsyncConnection, subscriptions: Collection[UUID], state: DeliveryState, reason: Reason
) -> int:
    """End what waits for subscriptions, after their rows were updated; answers how many.

    Much of it is ended by a job that any replica does, with the state and reason that it finds for itself.
    """
    named = {"subscriptions": list(subscriptions), "state": state.value, "reason": reason.value}
    (row,) = await connection.execute(_END, {**named, "at_most": ENDED_AT_ONCE})
    if row.found >= ENDED_AT_ONCE:
        await connection.execute(_LEAVE_THE_REST, {"subscriptions": list(subscriptions)})
    return int(row.ended)
