"""Packages: events that join a delivery which waits for its first attempt."""

from collections.abc import Sequence
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import LARGEST_PACKAGE, Planned, PlannedState, items_of

#: Only the last delivery of the account takes more, so that their order stays, and only until it is claimed: from its
#: first attempt on its body is frozen. Locked in the order of ids.
_PACK = text(
    """
    WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:subscriptions AS uuid[]), CAST(:accounts AS uuid[]), CAST(:gated AS boolean[]),
            CAST(:versions AS bigint[]), CAST(:sizes AS int[]), CAST(:items AS bytea[]), CAST(:more_ids AS jsonb[]),
            CAST(:more_types AS jsonb[]))
        AS wanted(id, subscription_id, account_id, gated, version, size, items, event_ids, event_types)),
    last AS MATERIALIZED (
        SELECT wanted.*, last.id AS package FROM wanted
        CROSS JOIN LATERAL (
            SELECT d.id FROM deliveries_open AS d
            WHERE d.package_size > 1 AND d.subscription_id = wanted.subscription_id
              AND d.account_id = wanted.account_id
            ORDER BY d.place DESC LIMIT 1) AS last
        ORDER BY last.id),
    locked AS MATERIALIZED (
        SELECT last.* FROM last
        CROSS JOIN LATERAL (
            SELECT FROM deliveries_open AS d
            WHERE d.id = last.package AND d.state = 'WAITING' AND d.attempts = 0 AND d.gated = last.gated
              AND d.configuration_version IS NOT DISTINCT FROM last.version
              AND 1 + cardinality(d.more_event_ids) + jsonb_array_length(last.event_ids) <= last.size
              AND octet_length(d.body) + octet_length(last.items) < :largest
            FOR UPDATE) AS d)
    UPDATE deliveries_open AS d
    SET body = substring(d.body FROM 1 FOR octet_length(d.body) - 2) || CAST(',' AS bytea) || locked.items
               || CAST(']}' AS bytea),
        more_event_ids = d.more_event_ids || ARRAY(SELECT jsonb_array_elements_text(locked.event_ids)),
        more_event_types = d.more_event_types || ARRAY(SELECT jsonb_array_elements_text(locked.event_types)),
        updated_at = clock_timestamp()
    FROM locked WHERE d.id = ANY(ARRAY[locked.package])
    RETURNING locked.id
    """
)


async def pack(connection: AsyncConnection, planned: Sequence[Planned]) -> set[UUID]:
    """Let packages join the last delivery of their account where they may; answers which have."""
    # The first of each account: what is planned after it comes after it.
    first: dict[tuple[UUID, UUID | None], Planned] = {}
    for each in planned:
        first.setdefault((each.subscription_id, each.account_id), each)
    wanted = [
        each
        for each in first.values()
        if each.package_size > 1 and each.account_id and each.state is PlannedState.WAITING
    ]
    if not wanted:
        return set()
    joined = await connection.execute(
        _PACK,
        {
            "ids": [each.id for each in wanted],
            "subscriptions": [each.subscription_id for each in wanted],
            "accounts": [each.account_id for each in wanted],
            "gated": [each.gated for each in wanted],
            "versions": [each.configuration_version for each in wanted],
            "sizes": [each.package_size for each in wanted],
            "items": [items_of(each.body) for each in wanted],
            "more_ids": [as_json([each.event_id, *(id_ for id_, _ in each.more)]) for each in wanted],
            "more_types": [as_json([each.webhook_type, *(type_ for _, type_ in each.more)]) for each in wanted],
            "largest": LARGEST_PACKAGE,
        },
    )
    return set(joined.scalars())


def as_json(names: Sequence[str]) -> str:
    """An array of texts, for a statement that takes an array of such arrays."""
    return orjson.dumps(names).decode()
