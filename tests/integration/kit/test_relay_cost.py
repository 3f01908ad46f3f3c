"""What the relay asks of PostgreSQL, counted: so much per batch, however long the backlog and whatever was deleted."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from shared.kit.unit_of_work import Database
from shared.kit.waiting import READ, ROWS, delete_published, read_waiting

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
    plan = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {READ}", 0, cursor, rows, 2**30)
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
