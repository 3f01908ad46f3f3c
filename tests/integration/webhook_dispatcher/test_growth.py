"""Deliveries and attempts do not grow for ever, and what has ended costs the claim nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import DeliveryState
from services.webhook_dispatcher.settings import Settings
from services.webhook_dispatcher.storage import Capacity, DeliveryFilter, claims
from services.webhook_dispatcher.storage import partitions as kept_partitions
from shared.kit import listing
from shared.kit.cursors import position_in
from shared.kit.faults import is_infrastructure
from shared.kit.paging import Page
from shared.kit.secrets import SecretBox
from shared.kit.service import Service
from tests.unit.webhook_dispatcher.messages import account_created, order_placed

from .world import World

#: a million rows take long where other tests keep the machine busy
pytestmark = pytest.mark.timeout(400)

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
    indexes = await world.rows(
        "SELECT DISTINCT count(*) AS n FROM pg_indexes WHERE tablename LIKE 'deliveries_ended_2%' GROUP BY tablename"
    )
    assert len(indexes) == 1, "a partition that is made later has the same indexes as those of the migration"


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
        "id, place, due_at, subscription_id, client_id, event_source, event_id, event_time, event_type, gated, body, "
        "state, created_at, updated_at"
    )
    async with world.database.unit_of_work() as work:
        for statement in (
            "CREATE TABLE a_million (LIKE deliveries_ended INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            f"""
            INSERT INTO a_million ({columns})
            SELECT lpad(to_hex(n), 32, '0')::uuid, n, now(), s.id, s.client_id, '/a-test', 'an-event', now(),
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
    return pages_in(row[0])


def pages_in(explained: Any) -> int:
    (plan,) = json.loads(explained) if isinstance(explained, str) else explained
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def buffers_of_a_search(world: World, wanted: DeliveryFilter) -> int:
    """How many pages all statements of a search touch."""
    page = Page(0, 100, "created_at", "desc")
    said: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        said.append((statement, parameters))

    engine = world.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    async with world.database.reading() as connection:
        try:
            await use_cases.list_deliveries(connection, world.client_id, wanted, page)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        pages = 0
        for statement, parameters in said:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            pages += pages_in((await connection.exec_driver_sql(explain, parameters)).scalar_one())
    return pages


@dataclass
class Grown:
    """A client with a little, and then with much, and what a claim cost before and after."""

    world: World
    little: int
    much: int


@pytest.fixture(scope="module")
async def grown(service: Service, settings: Settings) -> AsyncIterator[Grown]:
    world = World(service, SecretBox(settings.sealing_keys), settings.address_rule)
    for _ in range(10):
        await world.subscribed(NOWHERE)
    await fill(world, "WAITING", 1_000)
    little = await buffers_of_a_claim(world)
    await fill(world, "WAITING", 9_000)
    await a_million_ended(world)
    yield Grown(world, little, await buffers_of_a_claim(world))
    async with world.database.unit_of_work() as work:
        await work.connection.execute(text("DROP TABLE a_million"))
    await world.close()


async def test_a_claim_costs_the_same_however_much_waits_and_has_ended(grown: Grown) -> None:
    assert 100 < grown.little < 3000
    assert grown.much <= 1.2 * grown.little


async def test_a_search_costs_little_whatever_it_asks_for_and_however_much_there_is(grown: Grown) -> None:
    world = grown.world
    await fill(world, "FAILED", 1)
    any_of = (await world.rows("SELECT id FROM subscriptions WHERE client_id = :c LIMIT 1", c=world.client_id))[0].id
    account_id = (
        await world.rows("SELECT account_id FROM deliveries_open WHERE client_id = :c LIMIT 1", c=world.client_id)
    )[0].account_id
    long_ago = datetime(2020, 1, 1, 13, tzinfo=UTC)
    by_index = [
        DeliveryFilter(account_id=account_id),
        DeliveryFilter(event_id="an-event-of-a-package"),
        DeliveryFilter(event_id="77"),
        DeliveryFilter(subscription_id=any_of),
        DeliveryFilter(state=DeliveryState.FAILED),
        DeliveryFilter(state=DeliveryState.WAITING),
        DeliveryFilter(state=DeliveryState.DELIVERED),
        DeliveryFilter(state=DeliveryState.SUPPRESSED, subscription_id=any_of),
        DeliveryFilter(since=long_ago, before=long_ago),
    ]
    sifted = [
        DeliveryFilter(event_type="ACCOUNT.CREATED"),
        DeliveryFilter(event_type="ACCOUNT.CREATED", state=DeliveryState.DELIVERED, subscription_id=any_of),
        DeliveryFilter(state=DeliveryState.LEASED, event_type="ACCOUNT.CREATED"),
    ]
    costs = {str(wanted): await buffers_of_a_search(world, wanted) for wanted in by_index}
    assert {wanted: cost for wanted, cost in costs.items() if cost > 1_500} == {}, costs
    costs = {str(wanted): await buffers_of_a_search(world, wanted) for wanted in sifted}
    assert {wanted: cost for wanted, cost in costs.items() if cost > 40_000} == {}, costs


async def test_a_search_finds_by_each_filter_what_is_there_and_goes_on_where_it_came_back_short(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [(await world.subscribed(NOWHERE, max_package_size=size)).id for size in (1, 5)]
    account_id = uuid4()
    placed = [world.told(order_placed(account_id)) for _ in range(3)]
    await world.happened(*placed)
    await world.happened(world.told(account_created(account_id)))
    alone = [row for row in await world.deliveries() if row.subscription_id == first]
    package = next(row for row in await world.deliveries() if row.subscription_id == second)
    await world.rows(
        "UPDATE deliveries SET state = 'FAILED' WHERE id = :id RETURNING id",  # moves it
        id=alone[1].id,
    )

    async def found(most: int = 100, **wanted: Any) -> list[UUID]:
        asked, ids = Page(0, most, "created_at", "asc"), []
        async with world.database.reading() as connection:
            while True:
                part = await use_cases.list_deliveries(connection, world.client_id, DeliveryFilter(**wanted), asked)
                ids += [row.id for row in part.items]
                if part.next_cursor is None:
                    return ids
                position, *_ = position_in(part.next_cursor, "", {"created_at": datetime})
                asked = Page(0, most, "created_at", "asc", position)

    ids = [row.id for row in alone]
    assert await found(subscription_id=first) == ids
    assert await found(event_id=placed[0].envelope.id) == sorted([ids[0], package.id])
    assert await found(event_id=placed[2].envelope.id, subscription_id=second) == [package.id], "inside of a package"
    assert await found(account_id=account_id, subscription_id=first, state=DeliveryState.FAILED) == [ids[1]]
    assert await found(state=DeliveryState.FAILED) == [ids[1]]
    assert await found(state=DeliveryState.DELIVERED) == []
    assert await found(event_type="ACCOUNT.CREATED", subscription_id=first) == [ids[3]]
    assert await found(subscription_id=first, since=alone[1].created_at, before=alone[3].created_at) == ids[1:3]
    stranger = World(world.service, world.box, world.rule)
    world.client_id, mine = stranger.client_id, world.client_id
    assert await found(account_id=account_id) == []
    assert await found(event_id=placed[2].envelope.id) == []
    assert await found(subscription_id=first) == []
    world.client_id = mine
    # However few rows a page may look at, all of them are found in the end.
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 2)
    for most in (1, 2, 100):
        assert await found(most, event_type="PORTFOLIO_ORDER.NEW", subscription_id=first) == ids[:3]
        assert await found(most, event_type="ACCOUNT.CREATED", subscription_id=first) == [ids[3]]
    await stranger.close()
