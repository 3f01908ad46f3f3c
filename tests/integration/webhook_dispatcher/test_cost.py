"""What deliveries cost, by counts: statements for a batch, and rows that a statement reads to find its own."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher import storage, use_cases
from services.webhook_dispatcher.domain import Attempt, Claimed, DeliveryState, NextStep, Outcome, Reason
from services.webhook_dispatcher.storage import Capacity, Recorded
from tests.unit.webhook_dispatcher.messages import order_placed

from .world import World

NOWHERE = "http://127.0.0.1:9/hook"
ROOM = Capacity(free=100, per_endpoint=100, busy={})

READ = text(
    "SELECT coalesce(sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)), 0)::int "
    "FROM pg_stat_xact_user_tables WHERE relname IN ('deliveries_open', 'subscriptions', 'endpoints')"
)


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements that the service sends meanwhile; BEGIN and COMMIT are none."""
    sent: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    engine = world.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", count)


def attempt(outcome: Outcome) -> Attempt:
    now = datetime.now(UTC)
    return Attempt(outcome, now, now, status=200 if outcome is Outcome.DELIVERED else 500)


async def test_a_hundred_deliveries_are_planned_claimed_and_recorded_in_six_statements(world: World) -> None:
    subscribed = await world.subscribed(NOWHERE)
    orders = [order_placed(uuid4()) for _ in range(100)]
    with counted(world) as planning:
        await world.happened(*orders)
    with counted(world) as claiming:
        claimed = await use_cases.claim_due(world.database, ROOM, 30.0, [subscribed.id])
    with counted(world) as recording:
        delivered = [(each, attempt(Outcome.DELIVERED)) for each in claimed]
        await use_cases.record_attempts(world.database, delivered, [60.0])

    assert len(claimed) == 100
    assert (len(planning), len(claiming), len(recording)) == (3, 1, 2), [*planning, *claiming, *recording]
    assert {row.state for row in await world.deliveries()} == {"DELIVERED"}


@asynccontextmanager
async def one_connection(world: World) -> AsyncIterator[AsyncConnection]:
    """On which plans are made once, and kept."""
    async with world.database.engine.connect() as connection:
        yield connection
        await connection.rollback()


async def rows_read(connection: AsyncConnection, doing: Any) -> tuple[Any, int]:
    """What it answers, and how many rows of the queue and its subscriptions were read for it."""
    # What this connection read before is counted in as long as it was not handed in, which is once a second.
    await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    await connection.commit()
    answer = await doing
    read = (await connection.execute(READ)).scalar_one()
    await connection.commit()
    return answer, int(read)


def results(claimed: Sequence[Claimed]) -> list[Recorded]:
    """Every other one has failed and waits."""
    steps = NextStep(DeliveryState.DELIVERED), NextStep(DeliveryState.WAITING, wait=60.0)
    outcomes = Outcome.DELIVERED, Outcome.REJECTED
    return [Recorded(each, attempt(outcomes[n % 2]), steps[n % 2]) for n, each in enumerate(claimed)]


@pytest.mark.timeout(120)
async def test_plans_that_were_made_while_nothing_waited_read_no_more_when_much_does(world: World) -> None:
    async with world.database.driver_connection() as driver:
        await driver.execute("DELETE FROM deliveries_open")
        await driver.execute("VACUUM ANALYZE deliveries_open, subscriptions, endpoints")
    subscriptions = [(await world.subscribed(NOWHERE)).id for _ in range(30)]
    mine = subscriptions[:1]
    async with one_connection(world) as connection:
        await storage.claim(connection, ROOM, 30.0, mine)
        await storage.look((await connection.get_raw_connection()).driver_connection, None, 1000)
        await storage.record(connection, [])
        await storage.hand_back(connection, [])
        await storage.end_deliveries_of(connection, [uuid4()], DeliveryState.FAILED, Reason.SUBSCRIPTION_DISABLED)
        await connection.commit()
        await world.waiting_for(mine[0], 3000)

        claimed, claiming = await rows_read(connection, storage.claim(connection, ROOM, 30.0, mine))
        recorded, recording = await rows_read(connection, storage.record(connection, results(claimed)))
        again, _ = await rows_read(connection, storage.claim(connection, ROOM, 30.0, mine))
        _, returning = await rows_read(connection, storage.hand_back(connection, again))

    assert len(claimed) == len(again) == recorded == 100
    assert claiming <= 300, "rows read to claim a hundred"
    assert recording <= 400, "rows read to record a hundred"
    assert returning <= 700, "rows read to hand a hundred back"
