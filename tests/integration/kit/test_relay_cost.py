"""What the relay asks of PostgreSQL, counted: so much per batch, however long the backlog and whatever was deleted."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from shared.kit.outbox import SHARDS
from shared.kit.unit_of_work import Database
from shared.kit.waiting import NEWS, READ, ROWS, delete_published, read_waiting, shards_with_news

#: so many rows that reading the outbox from its front, or all of it, would be seen
_WAITING = 12_000

_FILL = """
INSERT INTO outbox (topic, key, shard, headers, payload)
SELECT 'orders.events.v1', number::text, 0, '{"ce_id": "1"}', convert_to(repeat('x', 400), 'UTF8')
FROM generate_series(1, CAST(:rows AS int)) AS number
"""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with database.unit_of_work() as work:
        await work.connection.execute(text(_FILL), {"rows": _WAITING})
    async with database.driver_connection() as raw:
        await raw.execute("ANALYZE outbox")
        yield raw


async def buffers(connection: asyncpg.Connection, cursor: int, rows: int) -> tuple[int, int]:
    """The pages that one read looks at, and those that it writes to disk for itself."""
    return await looked_at(connection, READ, 0, cursor, rows, 2**30)


async def looked_at(connection: asyncpg.Connection, query: str, *values: object) -> tuple[int, int]:
    """The pages that `query` looks at, and those that it writes to disk for itself."""
    plan = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {query}", *values)
    told = next(row[0] for row in plan if "Buffers:" in row[0])
    counts = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", told)}
    return counts.get("hit", 0) + counts.get("read", 0), counts.get("written", 0)


async def test_a_read_costs_what_it_reads_also_behind_a_deleted_front_that_an_old_snapshot_keeps(
    connection: asyncpg.Connection, database: Database
) -> None:
    fresh, _ = await buffers(connection, 0, 500)
    async with database.engine.connect() as old:
        await old.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await old.execute(text("SELECT count(*) FROM relay_leases"))
        published, _ = await read_waiting(connection, 0, 0)
        await delete_published(connection, 0, published)
        from_zero, _ = await buffers(connection, 0, 500)
        from_the_cursor, _ = await buffers(connection, published[-1]["id"], 500)

    assert len(published) == ROWS
    assert from_the_cursor <= fresh * 1.5
    assert from_zero > from_the_cursor * 5, "without the cursor it would walk over what was deleted"


async def test_a_whole_batch_is_read_without_sorting_it_on_disk(connection: asyncpg.Connection) -> None:
    rows = 2 * ROWS  # more than PostgreSQL sorts in memory
    pages, written = await buffers(connection, 0, rows)

    assert pages < rows
    assert written == 0


async def test_a_batch_ends_with_the_message_that_passes_its_bytes(connection: asyncpg.Connection) -> None:
    bounded = await connection.fetch(READ, 0, 0, ROWS, 4000)

    assert len(bounded) == 10


@pytest.mark.parametrize("statistics", ["as they are", "of an empty table"])
async def test_looking_for_news_costs_the_same_whatever_was_deleted_in_front_of_it(
    connection: asyncpg.Connection, database: Database, statistics: str
) -> None:
    shards = list(range(SHARDS))
    async with database.engine.connect() as old:
        await old.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await old.execute(text("SELECT count(*) FROM relay_leases"))
        last = await connection.fetchval("SELECT max(id) FROM outbox")
        await connection.execute("DELETE FROM outbox")
        if statistics == "of an empty table":
            await connection.execute("ANALYZE outbox")
        behind, _ = await looked_at(connection, NEWS, shards, [last] * SHARDS)
        from_zero, _ = await looked_at(connection, NEWS, shards, [0] * SHARDS)
        nothing = await shards_with_news(connection, dict.fromkeys(shards, last))
        await connection.execute(
            "INSERT INTO outbox (topic, key, shard, headers, payload) VALUES ('orders.events.v1', 'k', 2, '{}', '')"
        )
        news = await shards_with_news(connection, dict.fromkeys(shards, last))

    assert behind <= 4 * SHARDS
    assert from_zero > behind * 5, "without the cursor it would walk over what was deleted"
    assert (nothing, news) == (set(), {2})
