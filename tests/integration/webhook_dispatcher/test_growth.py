"""Deliveries and attempts do not grow for ever, and what has ended costs the claim nothing."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Capacity, claims
from services.webhook_dispatcher.storage import partitions as kept_partitions
from shared.kit.faults import is_infrastructure

from .world import World

NOWHERE = "http://127.0.0.1:9/hook"


async def partitions(world: World, table: str) -> set[str]:
    """Those of single weeks."""
    found = await world.rows(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = CAST(:t AS regclass)", t=table
    )
    return {row.name for row in found} - {f"{table}_default"}


async def test_partitions_are_made_ahead_and_dropped_by_age(world: World) -> None:
    now = datetime.now(UTC)
    try:
        await use_cases.keep_deliveries(world.database, now + timedelta(days=40))
        ahead = await partitions(world, "deliveries_ended")
        monday = now + timedelta(days=40 + 35) - timedelta(days=now.weekday())
        assert any(name >= f"deliveries_ended_{monday:%Y%m%d}" for name in ahead)
        kept = {table: min(await partitions(world, table)) for table in ("deliveries_ended", "attempts")}
        assert kept["attempts"] >= f"attempts_{now + timedelta(days=40 - 30 - 7):%Y%m%d}"
        assert kept["deliveries_ended"] <= f"deliveries_ended_{now + timedelta(days=40 - 90):%Y%m%d}"

        await use_cases.keep_deliveries(world.database, now + timedelta(days=120))
        oldest = min(await partitions(world, "deliveries_ended"))
        assert oldest >= f"deliveries_ended_{now + timedelta(days=120 - 90 - 7):%Y%m%d}"
    finally:
        await use_cases.keep_deliveries(world.database)


async def test_replicas_may_keep_the_partitions_at_once(world: World) -> None:
    await use_cases.keep_deliveries(world.database)
    before = await partitions(world, "attempts")
    later = datetime.now(UTC) + timedelta(days=14)
    await asyncio.gather(*[use_cases.keep_deliveries(world.database, later) for _ in range(3)])

    assert len(await partitions(world, "attempts")) == len(before) + 2


async def test_what_ends_after_an_outage_of_weeks_is_kept_and_finds_its_partition_later(world: World) -> None:
    await world.subscribed(NOWHERE)
    await fill(world, "DELIVERED", 3)
    now = datetime.now(UTC)
    # As if it had ended in weeks that nobody made partitions for: lately, and longer ago than anything is kept.
    for years, count in ((1, 2), (2, 1)):
        await world.rows(
            """
            UPDATE deliveries_ended SET updated_at = updated_at + make_interval(years => :years)
            WHERE id IN (SELECT id FROM deliveries_ended WHERE client_id = :c AND updated_at < now() LIMIT :n)
            RETURNING id
            """,
            c=world.client_id,
            years=years,
            n=count,
        )
    assert len(await of_default(world)) == 3
    await use_cases.keep_deliveries(world.database, now + timedelta(days=365 + 30))
    assert len(await of_default(world)) == 1, "its week is not there yet"
    assert len(await world.deliveries()) == 3
    found = await world.rows(
        "SELECT count(*) AS n FROM deliveries_ended WHERE client_id = :c AND tableoid <> CAST(:t AS regclass)",
        c=world.client_id,
        t="deliveries_ended_default",
    )
    assert found[0].n == 2
    await use_cases.keep_deliveries(world.database, now + timedelta(days=3 * 365))
    assert await world.deliveries() == [], "nothing is kept for ever"
    await use_cases.keep_deliveries(world.database)


async def of_default(world: World) -> list[Any]:
    return list(await world.rows("SELECT id FROM deliveries_ended_default WHERE client_id = :c", c=world.client_id))


async def test_a_job_that_cannot_have_its_lock_is_put_off_and_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_partitions, "_BE_BRIEF", text("SET LOCAL lock_timeout = '100ms'"))
    async with world.database.unit_of_work() as reading:
        await reading.connection.execute(text("SELECT count(*) FROM attempts"))
        with pytest.raises(DBAPIError) as put_off:
            await use_cases.keep_deliveries(world.database, datetime.now(UTC) + timedelta(days=130))
    assert is_infrastructure(put_off.value)
    await use_cases.keep_deliveries(world.database)


async def fill(world: World, state: str, each: int) -> None:
    """So many deliveries more for each of the client's subscriptions."""
    await world.rows(
        """
        INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time,
                                event_type, gated, body, state)
        SELECT gen_random_uuid(), s.id, s.client_id, gen_random_uuid(), '/a-test', n, now(), 'PORTFOLIO_ORDER.NEW',
               false, convert_to(repeat('x', 200), 'UTF8'), :state
        FROM subscriptions AS s, generate_series(1, :each) AS n WHERE s.client_id = :c
        RETURNING NULL
        """,
        state=state,
        each=each,
        c=world.client_id,
    )


async def a_million_ended(world: World) -> None:
    """A partition of a week long ago with a million deliveries, its indexes built at once."""
    columns = (
        "id, subscription_id, client_id, event_source, event_id, event_time, event_type, gated, body, state, "
        "created_at, updated_at"
    )
    async with world.database.unit_of_work() as work:
        for statement in (
            "CREATE TABLE a_million (LIKE deliveries_ended INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            f"""
            INSERT INTO a_million ({columns})
            SELECT lpad(to_hex(n), 32, '0')::uuid, s.id, s.client_id, '/a-test', 'an-event', now(),
                   'PORTFOLIO_ORDER.NEW', false, 'x', 'DELIVERED', '2020-01-01T12:00Z', '2020-01-01T12:00Z'
            FROM (SELECT id, client_id FROM subscriptions WHERE client_id = '{world.client_id}' LIMIT 1) AS s,
                 generate_series(1, 1000000) AS n
            """,
            """
            ALTER TABLE deliveries_ended ATTACH PARTITION a_million
            FOR VALUES FROM ('2020-01-01T00:00Z') TO ('2020-01-02T00:00Z')
            """,
        ):
            await work.connection.execute(text(statement))


async def buffers_of_a_claim(world: World) -> int:
    """How many pages a claim of a hundred deliveries touches; they are claimed."""
    subscriptions = await world.rows("SELECT id FROM subscriptions WHERE client_id = :c", c=world.client_id)
    room = Capacity(free=100, per_endpoint=100, busy={})
    (row,) = await world.rows(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claims._CLAIM.text}",
        **claims._arguments(room, 30.0, [each.id for each in subscriptions]),
    )
    (plan,) = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def test_a_claim_costs_the_same_however_much_waits_and_has_ended(world: World) -> None:
    for _ in range(10):
        await world.subscribed(NOWHERE)
    await fill(world, "WAITING", 1_000)
    little = await buffers_of_a_claim(world)
    await fill(world, "WAITING", 9_000)
    await a_million_ended(world)
    much = await buffers_of_a_claim(world)

    assert 100 < little < 3000
    assert much <= 1.2 * little
    async with world.database.unit_of_work() as work:
        await work.connection.execute(text("DROP TABLE a_million"))
