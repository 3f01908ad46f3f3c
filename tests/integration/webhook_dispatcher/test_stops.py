"""What the gate stops is counted by its reason, wherever it is stopped, once that is committed."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.webhook_dispatcher import storage, use_cases
from services.webhook_dispatcher.domain import RecoveryPace, Stopped
from services.webhook_dispatcher.storage import Capacity, ConfigurationCopy
from services.webhook_dispatcher.workers import Stops
from shared.kit.cause import Cause
from tests.unit.webhook_dispatcher.messages import deleted, rebalancing

from .receiver import Receiver, after, status
from .test_delivery import arrived, measured, settled
from .test_repair import end_all
from .world import World

ROOM = Capacity(free=100, per_endpoint=100, busy={})
AT_ONCE = RecoveryPace(untried=50, pause=0.0, pause_when_full=0.0)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
REASONS = {"NOT_CONFIGURED", "OLDER_CONFIGURATION", "CONFIGURATION_DELETED"}
ONCE = {"CONFIGURATION_DELETED": 1}


@pytest.fixture
def stops(world: World) -> Stops:
    (found,) = (part for part in world.service.measured if isinstance(part, Stops))
    return found


@pytest.fixture
def counted(stops: Stops) -> Callable[[], Counter[str]]:
    """What the service has counted since the test began."""

    def now() -> Counter[str]:
        values = measured(stops).items()
        return Counter({reason: int(value) for (name, reason), value in values if name.endswith("_total")})

    before = now()
    assert set(before) == REASONS, "each is told from the start"
    return lambda: now() - before


@pytest.fixture
async def subscription(world: World, receiver: Receiver) -> UUID:
    return (await world.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")).id


@pytest.mark.usefixtures("subscription")
async def test_what_the_gate_stops_at_the_plan_and_while_it_waits_is_counted_by_reason_and_a_copy_is_not(
    world: World, counted: Callable[[], Counter[str]]
) -> None:
    never, waiting, newer = [await world.an_account(version=version) for version in (0, 1, 2)]
    first = world.told(rebalancing(never))
    await world.rebalanced(first, rebalancing(newer, 1), rebalancing(waiting), rebalancing(waiting))
    assert counted() == {"NOT_CONFIGURED": 1, "OLDER_CONFIGURATION": 1}
    await world.rebalanced(first)
    await world.applied(deleted(waiting))

    assert counted() == {"NOT_CONFIGURED": 1, "OLDER_CONFIGURATION": 1, "CONFIGURATION_DELETED": 2}
    assert counted() == Counter(reason for _, reason in await world.states())


@pytest.mark.usefixtures("subscription")
async def test_what_is_under_way_is_counted_only_if_its_attempt_fails(
    world: World, receiver: Receiver, counted: Callable[[], Counter[str]]
) -> None:
    accounts = [await world.an_account() for _ in range(2)]
    answer = asyncio.Event()
    receiver.answers.extend([after(answer, status(200)), after(answer, status(500))])
    async with world.sending():
        await world.rebalanced(*map(rebalancing, accounts))
        await arrived(receiver, 2)
        await world.applied(*map(deleted, accounts))
        assert not counted()
        answer.set()
        await settled(world, "DELIVERED", "SUPPRESSED")
    assert counted() == ONCE


async def handed_back(world: World, _: UUID, stopped: Stopped) -> None:
    claimed = await use_cases.claim_due(world.database, ROOM, 30.0)
    await delete(world)
    await use_cases.give_back(world.database, claimed, stopped)


async def lost(world: World, _: UUID, stopped: Stopped) -> None:
    await use_cases.claim_due(world.database, ROOM, 0.0)
    await delete(world)
    await use_cases.release_lost(world.database, stopped)


async def claimed(world: World, subscription: UUID, stopped: Stopped) -> None:
    (delivery,) = await world.deliveries()
    # As if the statement that closes the gate had overlooked it.
    state = ConfigurationCopy(delivery.account_id, world.client_id, 1, 9, configured=False, partition=0, offset=10**6)
    async with world.database.unit_of_work() as work:
        await storage.apply_configurations(work.connection, [state])
    assert await use_cases.claim_due(world.database, ROOM, 30.0, [subscription], stopped) == []


async def resent(world: World, _: UUID, stopped: Stopped) -> None:
    await end_all(world)
    await delete(world)
    (delivery,) = await world.deliveries()
    cause = Cause(world.client_id, "a-request")
    for _time in range(2):
        noting = use_cases.noting_what_is_stopped(world.database, cause, delivery.id, stopped)
        with pytest.raises(use_cases.StoppedForGood):
            async with noting, world.database.unit_of_work(cause) as work:
                await use_cases.resend(work, delivery.id)


async def recovered(world: World, subscription: UUID, stopped: Stopped) -> None:
    await end_all(world)
    await delete(world)
    async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as work:
        await use_cases.recover(work, subscription, LONG_AGO, None)
    while await use_cases.go_on_recovering(world.database, AT_ONCE, stopped):
        pass


async def delete(world: World) -> None:
    await world.applied(*[deleted(delivery.account_id) for delivery in await world.deliveries()])


@pytest.mark.parametrize("way", [handed_back, lost, claimed, resent, recovered])
async def test_every_other_way_to_a_closed_gate_is_counted_once(
    world: World,
    subscription: UUID,
    stops: Stops,
    counted: Callable[[], Counter[str]],
    way: Callable[[World, UUID, Stopped], "asyncio.Future[None]"],
) -> None:
    await world.rebalanced(rebalancing(await world.an_account()))
    await way(world, subscription, stops.note)
    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED")]
    assert counted() == ONCE


@pytest.mark.usefixtures("subscription")
async def test_a_transaction_that_is_rolled_back_has_stopped_nothing(
    world: World, stops: Stops, counted: Callable[[], Counter[str]]
) -> None:
    happening = world.happening(rebalancing(await world.an_account(version=0)))

    async def fails_midway() -> None:
        async with world.database.unit_of_work() as work:
            await use_cases.plan_behind_the_gate(work, [happening], stops.note)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails_midway()
    assert not counted()
