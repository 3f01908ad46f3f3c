"""P5: no attempt to send a rebalancing event starts after the deletion of its configuration version was applied."""

import asyncio
import random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.webhook_dispatcher import storage, use_cases
from services.webhook_dispatcher.storage import Capacity, ConfigurationCopy
from shared.contracts import CONFIGURATIONS_EVENTS
from shared.kit.received import LostKey, Origin
from tests.conftest import eventually
from tests.integration.order_service.statements import counted
from tests.unit.webhook_dispatcher.messages import account_created, configured, deleted, rebalancing

from .receiver import Receiver, after, status
from .test_delivery import arrived, settled
from .world import World

ROOM = Capacity(free=100, per_endpoint=100, busy={})


@pytest.fixture
async def subscribed(world: World, receiver: Receiver) -> Receiver:
    await world.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")
    return receiver


async def test_an_event_of_an_account_that_was_never_configured_is_suppressed(
    world: World, subscribed: Receiver
) -> None:
    await world.rebalanced(rebalancing(await world.an_account(version=0)))

    assert await world.states() == [("SUPPRESSED", "NOT_CONFIGURED")]
    assert subscribed.sent == []


async def test_an_event_after_the_deletion_is_suppressed_and_stays_so_when_the_account_is_configured_anew(
    world: World, subscribed: Receiver
) -> None:
    account_id = await world.an_account()
    await world.applied(deleted(account_id))
    await world.rebalanced(rebalancing(account_id))
    await world.applied(configured(account_id, 2))
    async with world.sending():
        await world.rebalanced(rebalancing(account_id, 1), rebalancing(account_id, 2))
        await arrived(subscribed, 1)

    assert await world.states() == [
        ("SUPPRESSED", "NOT_CONFIGURED"),
        ("SUPPRESSED", "OLDER_CONFIGURATION"),
        ("DELIVERED", None),
    ]
    assert len(subscribed.sent) == 1


async def test_the_gate_closes_between_the_plan_and_the_claim(world: World, subscribed: Receiver) -> None:
    account_id = await world.an_account()
    other_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id), rebalancing(other_id))
    await world.applied(deleted(account_id))
    async with world.sending():
        await arrived(subscribed, 1)
        await settled(world, "SUPPRESSED", "DELIVERED")

    (sent,) = subscribed.sent
    assert str(other_id).encode() in sent.body
    assert (await world.states())[0] == ("SUPPRESSED", "CONFIGURATION_DELETED")


async def test_the_gate_closes_between_two_attempts(world: World, subscribed: Receiver) -> None:
    account_id = await world.an_account()
    answer = asyncio.Event()
    subscribed.answers.append(after(answer, status(500)))
    async with world.sending():
        await world.rebalanced(rebalancing(account_id))
        await arrived(subscribed, 1)
        await world.applied(deleted(account_id))
        assert [(row.state, row.gate_closed) for row in await world.deliveries()] == [("LEASED", True)]
        answer.set()
        await settled(world, "SUPPRESSED")

    assert len(subscribed.sent) == 1
    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED")]


async def test_an_attempt_that_was_under_way_at_the_deletion_may_still_succeed(
    world: World, subscribed: Receiver
) -> None:
    account_id = await world.an_account()
    answer = asyncio.Event()
    subscribed.answers.append(after(answer, status(200)))
    async with world.sending():
        await world.rebalanced(rebalancing(account_id))
        await arrived(subscribed, 1)
        await world.applied(deleted(account_id))
        answer.set()
        await settled(world, "DELIVERED")


@pytest.mark.parametrize("way_back", ["hand back", "lease runs out"])
async def test_no_way_back_to_waiting_leads_past_the_gate(world: World, subscribed: Receiver, way_back: str) -> None:
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    claimed = await use_cases.claim_due(world.database, ROOM, 0.0)
    await world.applied(deleted(account_id))
    if way_back == "hand back":
        await use_cases.give_back(world.database, claimed)
    else:
        await use_cases.release_lost(world.database)

    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED")]
    assert await use_cases.claim_due(world.database, ROOM, 30.0) == []
    assert subscribed.sent == []


async def test_a_newer_version_proves_the_deletion_of_the_older_ones(world: World, subscribed: Receiver) -> None:
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id, 1))
    # The deletion itself was eaten by compaction.
    await world.applied(configured(account_id, 3))
    await world.rebalanced(rebalancing(account_id, 2))
    async with world.sending():
        await world.rebalanced(rebalancing(account_id, 3))
        await arrived(subscribed, 1)
        await settled(world, "SUPPRESSED", "SUPPRESSED", "DELIVERED")


async def test_a_late_copy_of_an_older_state_turns_nothing_back(world: World, subscribed: Receiver) -> None:
    account_id = await world.an_account()
    created = world.told(configured(account_id, 1))
    await world.applied(deleted(account_id))
    await world.applied(created, created.again())
    await world.rebalanced(rebalancing(account_id))

    assert await world.states() == [("SUPPRESSED", "NOT_CONFIGURED")]
    assert subscribed.sent == []


async def test_a_deletion_waits_for_what_is_being_planned_and_stops_it(world: World, subscribed: Receiver) -> None:
    account_id = await world.an_account()
    async with world.database.unit_of_work() as planning:
        gates = await storage.gates_of(planning.connection, [account_id])
        assert gates[account_id].configured
        deletion = asyncio.ensure_future(world.applied(deleted(account_id)))
        await eventually(lambda: waits_for_a_lock(world))
        await use_cases.plan_behind_the_gate(planning, [world.happening(rebalancing(account_id))])
    await deletion

    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED")]
    assert subscribed.sent == []


async def waits_for_a_lock(world: World) -> bool:
    found = await world.rows(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(found)


async def test_no_claim_gets_past_a_deletion_that_is_under_way(world: World, subscribed: Receiver) -> None:
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    async with world.database.unit_of_work() as deleting:
        # The configuration row is changed, the deliveries are not yet.
        state = ConfigurationCopy(account_id, world.client_id, 1, 2, configured=False, partition=0, offset=10**6)
        deletions = await storage.apply_configurations(deleting.connection, [state])
        assert await use_cases.claim_due(world.database, ROOM, 30.0) == []
        await storage.close_gate(deleting.connection, deletions)

    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED")]
    assert subscribed.sent == []


async def test_a_copy_that_cannot_be_trusted_shuts_the_gate_until_a_newer_state_comes(
    world: World, subscribed: Receiver
) -> None:
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    await shut(world, account_id, 7)
    assert await use_cases.claim_due(world.database, ROOM, 30.0) == []
    assert await world.states() == [("WAITING", None)], "it may well be configured"
    async with world.sending():
        await world.applied(configured(account_id, 1, revision=9))
        await arrived(subscribed, 1)


async def test_a_lost_record_that_comes_back_and_says_nothing_new_opens_the_gate_again(
    world: World, subscribed: Receiver
) -> None:
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    again = world.told(configured(account_id, 1))
    await shut(world, account_id, again.offset)
    await world.redriven_to_copies(again)
    async with world.sending():
        await arrived(subscribed, 1)


async def shut(world: World, account_id: UUID, offset: int) -> None:
    lost = LostKey.of(str(account_id), Origin(CONFIGURATIONS_EVENTS.name, 0, offset), "invalid_body")
    async with world.database.unit_of_work() as work:
        await use_cases.shut_gates(work, [lost])


async def test_an_event_for_another_clients_account_is_refused(world: World, subscribed: Receiver) -> None:
    theirs = await world.an_account()
    stranger = World(world.service, world.box, world.rule)
    await stranger.subscribed(subscribed.url)
    await stranger.rebalanced(rebalancing(theirs))

    assert await stranger.deliveries() == []
    assert stranger.rebalancings.counts["parked: refused"] == 1
    await stranger.close()


@pytest.mark.usefixtures("subscribed")
async def test_events_for_another_clients_account_leave_the_others_of_their_batch_one_plan(world: World) -> None:
    mine, theirs = await world.an_account(), uuid4()
    await world.applied(world.told(account_created(theirs), client_id=World.another_client()))
    with counted(world.database) as statements:
        await world.rebalanced(*(rebalancing(theirs if n % 5 == 0 else mine) for n in range(50)))
        together = len(statements)

    assert len(await world.deliveries()) == 40
    assert world.rebalancings.counts["parked: refused"] == 10
    with counted(world.database) as statements:
        await world.rebalanced(*(rebalancing(mine) for _ in range(50)))
    assert together == len(statements) + 1, "one more, which forgets that the refused ones were taken"


async def test_an_event_of_a_version_that_is_not_known_yet_is_tried_for_a_moment_and_parked(
    world: World, subscribed: Receiver
) -> None:
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id, 2))

    assert await world.deliveries() == []
    assert world.rebalancings.counts["parked: out_of_patience"] == 1
    assert subscribed.sent == []


async def test_the_attempt_log_proves_that_no_attempt_was_claimed_after_its_deletion(
    world: World, subscribed: Receiver
) -> None:
    """Many accounts are deleted at random moments while their events are planned, sent and sent again."""
    chance = random.Random(20260131)  # noqa: S311 -- moments, not secrets
    subscribed.answers.extend([status(chance.choice([200, 500, 500])) for _ in range(150)])
    accounts = [await world.an_account() for _ in range(40)]

    async def rebalance(account_id: UUID) -> None:
        for _ in range(4):
            await asyncio.sleep(chance.random() * 0.2)
            await world.rebalanced(rebalancing(account_id, 1))

    # As in Kafka: what stands in a partition is applied in its order.
    partition = asyncio.Lock()

    async def delete(account_id: UUID) -> None:
        await asyncio.sleep(chance.random() * 0.6)
        async with partition:
            await world.applied(deleted(account_id))

    async with world.sending():
        await asyncio.gather(*[rebalance(each) for each in accounts], *[delete(each) for each in accounts])
        await eventually(lambda: nothing_is_open(world))

    late = await world.rows(
        """
        SELECT 1 FROM attempts JOIN deliveries ON deliveries.id = delivery_id
        JOIN configurations USING (account_id)
        WHERE deliveries.client_id = :c
          AND (attempts.projection_position > configurations.deletion_position
               OR attempts.deletion_position IS NOT NULL)
        """,
        c=world.client_id,
    )
    assert late == []
    states = {row.state for row in await world.deliveries()}
    assert {"DELIVERED", "SUPPRESSED"} <= states <= {"DELIVERED", "SUPPRESSED", "FAILED"}


async def nothing_is_open(world: World) -> bool:
    async with world.database.reading() as connection:
        open_ = text("SELECT 1 FROM deliveries WHERE client_id = :c AND state IN ('WAITING', 'LEASED') LIMIT 1")
        return (await connection.execute(open_, {"c": world.client_id})).first() is None
