"""What waits in the outbox: read in the order of its ids, in batches bounded by count and bytes, and deleted by id."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

import asyncpg

from .horizon import Snapshot

#: The visible rows of a shard above the cursor in id order, at most $3 of them and about $4 bytes, with the bounds of
#: the snapshot that saw them. Answers one row without an id when nothing waits. Served by the primary key. Its result
#: is not ordered once more: a sort of whole rows goes to disk, and costs as much as all the rest.
READ = """
    WITH waiting AS (SELECT id, topic, key, headers, payload FROM outbox
                     WHERE shard = $1 AND id > $2 ORDER BY id LIMIT $3),
         measured AS (SELECT *, sum(octet_length(payload)) OVER before AS bytes_before FROM waiting
                      WINDOW before AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax,
           id, topic, key, headers::text AS headers, payload
    FROM (SELECT) AS snapshot LEFT JOIN measured ON coalesce(bytes_before, 0) < $4
"""

#: Which shards have anything above their cursors; one query for all of them. Below its cursor a shard may have many
#: deleted rows that no vacuum has taken away yet, and its first entry above it is found by the primary key.
NEWS = """
    SELECT shard FROM unnest($1::smallint[], $2::bigint[]) AS owned(shard, cursor)
    CROSS JOIN LATERAL (SELECT id FROM outbox WHERE outbox.shard = owned.shard AND id > owned.cursor
                        ORDER BY outbox.shard, id LIMIT 1) AS first
"""

_DELETE = "DELETE FROM outbox WHERE shard = $1 AND id = ANY($2::bigint[])"

#: how many messages a batch has at most, and how many the first one has
ROWS = 4000
FIRST_ROWS = 500
_BYTES = 4 * 1024 * 1024

_ID = itemgetter(2)


async def read_waiting(
    connection: asyncpg.Connection, shard: int, cursor: int, at_most: int = ROWS
) -> tuple[Sequence[asyncpg.Record], Snapshot]:
    """The next rows (xmin, xmax, id, topic, key, headers, payload) of a shard, and the snapshot they are of."""
    rows = await connection.fetch(READ, shard, cursor, at_most, _BYTES)
    rows.sort(key=_ID)  # they are in order already, which SQL does not promise without sorting them itself
    xmin, xmax, last, *_ = rows[-1]
    # Fewer bytes than the limit can also end a batch early: only an empty answer proves that nothing is left.
    exhausted = last is None
    return [] if exhausted else rows, Snapshot(xmin, xmax, last, exhausted=exhausted)


async def shards_with_news(connection: asyncpg.Connection, cursors: Mapping[int, int]) -> set[int]:
    """Those of the shards that have a row above their cursor."""
    return {row["shard"] for row in await connection.fetch(NEWS, list(cursors), list(cursors.values()))}


async def delete_published(connection: asyncpg.Connection, shard: int, rows: Sequence[asyncpg.Record]) -> None:
    """Take `rows` out of the outbox: Kafka has them."""
    await connection.execute(_DELETE, shard, list(map(_ID, rows)))
