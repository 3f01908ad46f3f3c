"""P6: with `ordered`, one account's events arrive in order, and a failing account holds up only itself."""

import asyncio
import random
from collections import defaultdict
from uuid import UUID, uuid4

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import CircuitRule
from services.webhook_dispatcher.storage import Capacity
from services.webhook_dispatcher.workers import Limits
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import deleted, order_placed, rebalancing

from .receiver import Receiver, status
from .test_delivery import arrived
from .world import World

ROOM = Capacity(free=100, per_endpoint=100, busy={})
NOWHERE = "http://127.0.0.1:9/hook"
#: never opens, so that many failures in a row are tried again at once
PATIENT = CircuitRule(failures=10**6)


async def open_deliveries(world: World) -> int:
    (row,) = await world.rows(
        "SELECT count(*) AS open FROM deliveries WHERE client_id = :c AND state IN ('WAITING', 'LEASED')",
        c=world.client_id,
    )
    return int(row.open)


async def nothing_is_open(world: World) -> bool:
    return await open_deliveries(world) == 0


async def test_an_accounts_events_arrive_in_order_over_retries_and_several_dispatchers(
    world: World, receiver: Receiver
) -> None:
    chance = random.Random(20260228)  # noqa: S311 -- answers, not secrets
    subscribed = await world.subscribed(receiver.url, ordered=True)
    receiver.answers.extend([status(chance.choice([200, 500, 200])) for _ in range(200)])
    accounts = [uuid4() for _ in range(5)]
    schedule = [0.02] * 30
    async with (
        world.dispatching(circuit=PATIENT, schedule=schedule),
        world.dispatching(circuit=PATIENT, schedule=schedule),
        world.dispatching(circuit=PATIENT, schedule=schedule),
    ):
        for _ in range(3):
            await world.waiting_for(subscribed.id, 30, *accounts)
        await eventually(lambda: nothing_is_open(world), seconds=60)

    rows = {row.id.hex: row for row in await world.deliveries()}
    assert {row.state for row in rows.values()} == {"DELIVERED"}
    first_copies: dict[UUID, list[int]] = defaultdict(list)
    for sent in receiver.sent:
        row = rows[sent.message_id.removeprefix("msg_")]
        if row.place not in first_copies[row.account_id]:
            first_copies[row.account_id].append(row.place)
    assert all(places == sorted(places) for places in first_copies.values())
    assert sum(len(places) for places in first_copies.values()) == 90


async def test_no_more_than_one_delivery_of_an_account_is_under_way_whoever_claims(world: World) -> None:
    subscribed = await world.subscribed(NOWHERE, ordered=True)
    one, other = uuid4(), uuid4()
    await world.waiting_for(subscribed.id, 10, one, other)
    asked = [use_cases.claim_due(world.database, ROOM, 30.0, [subscribed.id]) for _ in range(6)]
    claimed = [each for answer in await asyncio.gather(*asked) for each in answer]

    assert sorted(each.account_id for each in claimed if each.account_id) == sorted([one, other])
    places = {row.id: row.place for row in await world.deliveries()}
    assert sorted(places[each.id] for each in claimed) == sorted(places.values())[:2]


async def test_what_stands_behind_a_delivery_that_waits_for_its_retry_waits_too(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url, ordered=True)
    failing = uuid4()
    receiver.answers.append(status(500))
    await world.waiting_for(subscribed.id, 3, failing)
    async with world.dispatching(schedule=[300.0]):
        await arrived(receiver, 1)
        await world.waiting_for(subscribed.id, 20)
        await arrived(receiver, 21)

        async def only_the_failing_one_waits() -> bool:
            return await open_deliveries(world) == 3

        await eventually(only_the_failing_one_waits)
    waiting = [row for row in await world.deliveries() if row.state == "WAITING"]
    assert {row.account_id for row in waiting} == {failing}
    assert [row.attempts for row in waiting] == [1, 0, 0]


async def test_a_delivery_that_fails_for_good_lets_the_next_go(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url, ordered=True)
    receiver.answers.append(status(500))
    await world.waiting_for(subscribed.id, 3, uuid4())
    async with world.dispatching(schedule=[]):
        await eventually(lambda: nothing_is_open(world))

    assert [row.state for row in await world.deliveries()] == ["FAILED", "DELIVERED", "DELIVERED"]


async def test_what_the_gate_stops_lets_the_next_go(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url, ordered=True)
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    await world.happened(order_placed(account_id))
    await world.applied(deleted(account_id))
    async with world.dispatching():
        await eventually(lambda: nothing_is_open(world))

    assert [row.state for row in await world.deliveries()] == ["SUPPRESSED", "DELIVERED"]


async def test_a_long_line_behind_a_failing_account_is_put_out_of_the_way_and_goes_on_once_it_may(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url, ordered=True)
    failing = uuid4()
    receiver.answers.append(status(500))
    await world.waiting_for(subscribed.id, 400, failing)
    async with world.dispatching(Limits(per_endpoint=4), schedule=[300.0]):
        await arrived(receiver, 1)
        await world.waiting_for(subscribed.id, 10)
        await arrived(receiver, 11)

        async def out_of_the_way() -> bool:
            (row,) = await world.rows(
                "SELECT count(*) AS behind FROM deliveries WHERE client_id = :c AND put_behind_at IS NOT NULL",
                c=world.client_id,
            )
            return int(row.behind) > 300

        await eventually(out_of_the_way)
        await world.rows(
            "UPDATE deliveries_open SET due_at = now() WHERE client_id = :c AND attempts = 1 RETURNING id",
            c=world.client_id,
        )
        await eventually(lambda: nothing_is_open(world), seconds=60)

    places = {row.id.hex: row.place for row in await world.deliveries() if row.account_id == failing}
    sent = [places[each.message_id[4:]] for each in receiver.sent if each.message_id[4:] in places]
    assert sent[1:] == sorted(places.values())


async def test_a_process_that_dies_does_not_lose_the_order(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url, ordered=True)
    await world.waiting_for(subscribed.id, 5, uuid4())
    (lost,) = await use_cases.claim_due(world.database, ROOM, 0.3, [subscribed.id])
    async with world.dispatching():
        await eventually(lambda: nothing_is_open(world))

    assert receiver.sent[0].message_id == f"msg_{lost.id.hex}"
    places = {row.id.hex: row.place for row in await world.deliveries()}
    sent = [places[each.message_id[4:]] for each in receiver.sent]
    assert sent == sorted(sent)
