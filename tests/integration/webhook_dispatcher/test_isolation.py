"""P9: an endpoint that hangs holds up itself and nobody else."""

import asyncio
import time
from uuid import UUID

import pytest

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Pace
from services.webhook_dispatcher.storage import Capacity
from services.webhook_dispatcher.workers import DeliveryWorker, Limits
from tests.conftest import eventually

from .receiver import Receiver, hanging
from .test_delivery import arrived
from .world import World

SECONDS = 3
PER_SECOND = 100
#: after which a hanging endpoint gives its slot back: what waited for one could not arrive before
TIMEOUT = 20


async def planned_at_a_pace(world: World, worker: DeliveryWorker, subscription_id: UUID) -> None:
    """A hundred deliveries a second are planned, for some seconds."""
    began = time.monotonic()
    for turn in range(SECONDS * 10):
        await world.waiting_for(subscription_id, PER_SECOND // 10)
        worker.wake([subscription_id])
        await asyncio.sleep(max(0.0, began + (turn + 1) / 10 - time.monotonic()))


@pytest.mark.parametrize(("endpoints", "pace"), [(1, Pace.QUICK), (500, Pace.UNTRIED)])
async def test_nothing_of_another_endpoint_waits_for_those_that_hang(
    world: World, receiver: Receiver, endpoints: int, pace: Pace
) -> None:
    healthy = await world.subscribed(receiver.url)
    async with hanging() as nowhere, world.dispatching(Limits(grace=0.1), timeout=TIMEOUT) as worker:
        others = [await world.subscribed(nowhere, pace=pace) for _ in range(endpoints)]
        for each in others:
            await world.waiting_for(each.id, 20)
        worker.wake([each.id for each in others])
        await eventually(lambda: tried(world, healthy.id, min(endpoints, 100)))
        async with asyncio.timeout(TIMEOUT - SECONDS):
            await planned_at_a_pace(world, worker, healthy.id)
            await arrived(receiver, SECONDS * PER_SECOND)


async def tried(world: World, healthy: UUID, at_least: int) -> bool:
    """Whether that many deliveries to others are under way."""
    query = (
        "SELECT count(*) AS attempts FROM deliveries WHERE client_id = :c AND attempts > 0 AND subscription_id <> :h"
    )
    (counted,) = await world.rows(query, c=world.client_id, h=healthy)
    return bool(counted.attempts >= at_least)


async def test_an_endpoint_that_was_never_tried_or_does_not_answer_gets_one_slot(world: World) -> None:
    for pace in (Pace.UNTRIED, Pace.SILENT):
        subscribed = await world.subscribed("http://127.0.0.1:9/hook", pace=pace)
        await world.waiting_for(subscribed.id, 20)
        room = Capacity(free=100, per_endpoint=10, busy={})
        (claimed,) = await use_cases.claim_due(world.database, room, 30.0, [subscribed.id])
        assert not claimed.quick
        busy = Capacity(free=100, per_endpoint=10, busy={subscribed.id: 1})
        assert await use_cases.claim_due(world.database, busy, 30.0, [subscribed.id]) == []


async def test_an_endpoint_that_begins_to_hang_is_left_after_its_first_timeouts(world: World) -> None:
    async with hanging() as nowhere, world.dispatching(Limits(per_endpoint=3)):
        subscribed = await world.subscribed(nowhere)
        await world.waiting_for(subscribed.id, 20)

        async def silent() -> bool:
            (row,) = await world.rows("SELECT pace FROM endpoints WHERE subscription_id = :s", s=subscribed.id)
            return str(row.pace) == "SILENT"

        await eventually(silent)
        leased = await world.rows(
            "SELECT 1 FROM deliveries WHERE subscription_id = :s AND state = 'LEASED'", s=subscribed.id
        )
        assert len(leased) <= 3


async def test_an_endpoint_that_answers_earns_its_slots(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url, pace=Pace.UNTRIED)
    await world.waiting_for(subscribed.id, 50)
    async with world.dispatching():
        await arrived(receiver, 50)

    (row,) = await world.rows("SELECT pace, failures FROM endpoints WHERE subscription_id = :s", s=subscribed.id)
    assert (row.pace, row.failures) == ("QUICK", 0)


async def test_clients_with_a_backlog_take_turns(world: World) -> None:
    other = World(world.service, world.box, world.rule)
    mine = [await world.subscribed("http://127.0.0.1:9/hook") for _ in range(4)]
    for each in mine:
        await world.waiting_for(each.id, 50)
    theirs = await other.subscribed("http://127.0.0.1:9/hook")
    await other.waiting_for(theirs.id, 50)
    asked = [*(each.id for each in mine), theirs.id]
    room = Capacity(free=40, per_endpoint=100, busy={})
    claimed = await use_cases.claim_due(world.database, room, 30.0, asked)

    per_client = {
        client: sum(each.client_id == client for each in claimed) for client in (world.client_id, other.client_id)
    }
    assert per_client == {world.client_id: 20, other.client_id: 20}
    assert {sum(each.subscription_id == one.id for each in claimed) for one in mine} == {5}
    await other.close()


async def test_a_client_that_has_much_under_way_comes_after_one_that_has_nothing(world: World) -> None:
    other = World(world.service, world.box, world.rule)
    mine, theirs = await world.subscribed("http://127.0.0.1:9/hook"), await other.subscribed("http://127.0.0.1:9/hook")
    await world.waiting_for(mine.id, 50)
    await other.waiting_for(theirs.id, 50)
    room = Capacity(free=10, per_endpoint=100, busy={mine.id: 10}, busy_clients={world.client_id: 10})
    claimed = await use_cases.claim_due(world.database, room, 30.0, [mine.id, theirs.id])

    assert {each.client_id for each in claimed} == {other.client_id}
    await other.close()


async def test_looking_goes_round_all_subscriptions(world: World) -> None:
    subscribed = {(await world.subscribed("http://127.0.0.1:9/hook")).id for _ in range(5)}
    for each in subscribed:
        await world.waiting_for(each, 1)
    found: set[UUID] = set()
    after, rounds = None, 0
    while not subscribed <= found:
        looked = await world.looked(after, 2)
        found.update(looked.due)
        after, rounds = looked.last, rounds + 1
        assert rounds < 1000
