"""Deliveries and attempts do not grow for ever, and what has ended costs the claim nothing."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Capacity, claims

from .world import World

NOWHERE = "http://127.0.0.1:9/hook"


async def partitions(world: World, table: str) -> set[str]:
    found = await world.rows(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = CAST(:t AS regclass)", t=table
    )
    return {row.name for row in found}


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


async def test_two_replicas_may_keep_the_partitions_at_once(world: World) -> None:
    await use_cases.keep_deliveries(world.database)
    before = await partitions(world, "attempts")
    await use_cases.keep_deliveries(world.database)

    assert await partitions(world, "attempts") == before


async def fill(world: World, state: str, each: int) -> None:
    """So many deliveries more for each of the client's subscriptions."""
    await world.rows(
        """
        INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time,
                                event_type, gated, body, state)
        SELECT gen_random_uuid(), s.id, s.client_id, gen_random_uuid(), '/a-test', n, now(), 'PORTFOLIO_ORDER.NEW',
               false, convert_to(repeat('x', 500), 'UTF8'), :state
        FROM subscriptions AS s, generate_series(1, :each) AS n WHERE s.client_id = :c
        RETURNING NULL
        """,
        state=state,
        each=each,
        c=world.client_id,
    )


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


@pytest.mark.timeout(400)
async def test_a_claim_costs_the_same_however_much_waits_and_has_ended(world: World) -> None:
    for _ in range(10):
        await world.subscribed(NOWHERE)
    await fill(world, "WAITING", 1_000)
    little = await buffers_of_a_claim(world)
    await fill(world, "WAITING", 9_000)
    for _ in range(10):
        await fill(world, "DELIVERED", 10_000)
    much = await buffers_of_a_claim(world)

    assert 100 < little < 3000
    assert much <= 1.2 * little
