"""How an open delivery ends: it moves to the time partitions, and lets the next of its account go.

An open row that is gone has ended, whoever waited for its lock; so nothing ends twice. What ends rows is named
statements all over the storage, and this is what they have in common.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Reason

#: what a delivery ends for behind a closed gate; the end of its subscription has left its own reason
STOPPED = {"stopped": Reason.CONFIGURATION_DELETED.value}

#: Every way back to WAITING: what the gate or its subscription's end has met meanwhile ends instead.
STATE_AFTER_LEASE = "CASE WHEN d.gate_closed THEN 'SUPPRESSED' ELSE coalesce(d.ends_as, 'WAITING') END"
REASON_AFTER_LEASE = "CASE WHEN d.gate_closed THEN :stopped ELSE d.reason END"

_KEPT = """
    id, subscription_id, client_id, account_id, place, ordered, event_source, event_id, event_time, event_type,
    package_size, more_event_ids, more_event_types, gated, configuration_version, body, attempts, due_at,
    claimed_at, gate_closed, ends_as, planned_position, projection_position, deletion_position, created_at,
    tried_before, recovery_id, traceparent
"""

#: Takes the rows of a CTE `gone`: deleted from deliveries_open, with `final_state` and `final_reason`.
MOVE_GONE = f"""
    INSERT INTO deliveries_ended ({_KEPT}, state, reason, updated_at)
    SELECT {_KEPT}, final_state, final_reason, clock_timestamp() FROM gone
"""  # noqa: S608 -- our columns

#: A delivery of an ordered subscription that was put behind others of its account is looked at again. Only a hint: the
#: claim itself finds out whether anything still stands before it. A statement of its own, after the one that ended
#: rows: so that it sees whatever was put behind them until they were locked.
_NEXT_IN_LINE = text(
    """
    UPDATE deliveries_open AS d SET due_at = next.put_behind_at, put_behind_at = NULL
    FROM (SELECT DISTINCT subscription_id, account_id
          FROM unnest(CAST(:subscriptions AS uuid[]), CAST(:accounts AS uuid[])) AS line(subscription_id, account_id))
         AS line
    CROSS JOIN LATERAL (
        SELECT id, put_behind_at FROM deliveries_open AS waiting
        WHERE waiting.ordered AND waiting.subscription_id = line.subscription_id
          AND waiting.account_id = line.account_id
        ORDER BY place LIMIT 1) AS next
    WHERE d.id = ANY(ARRAY[next.id]) AND d.put_behind_at IS NOT NULL
    """
)

#: A place in a line: a subscription and an account.
Line = tuple[UUID, UUID]


async def let_next_go(connection: AsyncConnection, lines: Collection[Line]) -> None:
    """Look again at the first of each line, of which something has ended."""
    if lines:
        places = sorted(set(lines))
        await connection.execute(
            _NEXT_IN_LINE, {"subscriptions": [line[0] for line in places], "accounts": [line[1] for line in places]}
        )
