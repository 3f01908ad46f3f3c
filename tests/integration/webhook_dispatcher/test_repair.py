"""P6: what has failed is sent again, one by one or a whole window of time, under its old id, through the gate (P5)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from services.webhook_dispatcher import storage, use_cases
from services.webhook_dispatcher.domain import LARGEST_PACKAGE, RecoveryPace
from services.webhook_dispatcher.storage import Capacity, RecoveryRow
from services.webhook_dispatcher.use_cases import StillOpen
from shared.kit.cause import Cause
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import allocation_changed, configured, deleted, order_placed, rebalancing

from .receiver import Receiver, status
from .test_delivery import arrived, settled
from .world import World

ROOM = Capacity(free=100, per_endpoint=100, busy={})
#: instruments that make an event larger than a body may be
LARGE = ["\U0001f642" * 64] * 1000
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
QUICKLY = RecoveryPace(untried=50, pause=0.0, pause_when_full=0.0)


async def resent(world: World, delivery_id: UUID) -> None:
    """Ask for a delivery to be sent again, as the route does."""
    try:
        async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as work:
            await use_cases.resend(work, delivery_id)
    except use_cases.StoppedForGood:
        async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as work:
            await use_cases.note_stopped(work, delivery_id)
        raise


async def recovery(world: World, subscription_id: UUID, since: datetime = LONG_AGO, **until: datetime) -> RecoveryRow:
    async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as work:
        return await use_cases.recover(work, subscription_id, since, until.get("until"))


async def gone_through(world: World, pace: RecoveryPace = QUICKLY) -> None:
    """Take steps until none may go on."""
    while await use_cases.go_on_recovering(world.database, pace):
        pass


async def recovered(world: World) -> list[Any]:
    return list(
        await world.rows("SELECT * FROM recoveries WHERE client_id = :c ORDER BY created_at", c=world.client_id)
    )


async def end_all(world: World, state: str = "FAILED", reason: str = "EXHAUSTED", attempts: int = 3) -> None:
    """Let whatever waits for the client end, as if it had been tried that often."""
    await world.rows(
        f"""
        WITH gone AS (DELETE FROM deliveries_open WHERE client_id = :c
                      RETURNING *, '{state}' AS final_state, '{reason}' AS final_reason),
        moved AS ({storage.endings.MOVE_GONE}) SELECT count(*) FROM gone
        """,
        c=world.client_id,
    )
    await world.rows(
        "UPDATE deliveries_ended SET attempts = :n WHERE client_id = :c RETURNING id", n=attempts, c=world.client_id
    )


@asynccontextmanager
async def recovering(world: World, pace: RecoveryPace = QUICKLY) -> AsyncIterator[None]:
    """A worker goes on with recoveries meanwhile."""

    async def run() -> None:
        while True:
            await gone_through(world, pace)
            await asyncio.sleep(0.01)

    running = asyncio.ensure_future(run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


# -- sending one again


async def test_what_has_failed_or_was_delivered_is_sent_again_with_its_id_and_body_and_counts_on(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url)
    receiver.answers.extend([status(500)] * 5)
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        (delivery,) = await settled(world, "FAILED")
        await resent(world, delivery.id)
        # Two more are refused: what was sent again has its whole schedule anew.
        (again,) = await settled(world, "DELIVERED")
        await resent(world, delivery.id)
        await arrived(receiver, 7)
        (twice,) = await settled(world, "DELIVERED")

    assert (delivery.attempts, again.attempts, twice.attempts) == (3, 6, 7)
    assert {(sent.message_id, sent.body) for sent in receiver.sent} == {(f"msg_{delivery.id.hex}", delivery.body)}
    receiver.sent[-1].verified(subscribed.secret)
    assert [each.number for each in await world.attempts()] == [1, 2, 3, 4, 5, 6, 7], "the history is one"
    assert twice.created_at == delivery.created_at, "and the entry in the list as well"


async def test_two_that_ask_at_once_have_one_effect(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    await end_all(world)
    (delivery,) = await world.deliveries()
    answers = await asyncio.gather(*[resent(world, delivery.id) for _ in range(8)], return_exceptions=True)
    async with world.sending():
        await settled(world, "DELIVERED")

    assert [type(each) for each in answers if each] == [StillOpen] * 7
    assert len(receiver.sent) == 1


async def test_what_cannot_be_sent_again_is_refused_with_its_reason(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    (delivery,) = await world.deliveries()
    with pytest.raises(StillOpen):
        await resent(world, delivery.id)
    claimed = await use_cases.claim_due(world.database, ROOM, 30.0)
    with pytest.raises(StillOpen):
        await resent(world, delivery.id)
    await use_cases.give_back(world.database, claimed)
    stranger = World(world.service, world.box, world.rule)
    for client, id_ in ((stranger, delivery.id), (world, uuid4())):
        with pytest.raises(use_cases.DeliveryNotFound):
            await resent(client, id_)
    await end_all(world)
    await world.rows("UPDATE subscriptions SET enabled = false WHERE id = :id RETURNING id", id=subscribed.id)
    with pytest.raises(use_cases.SubscriptionSwitchedOff):
        await resent(world, delivery.id)
    await world.rows("UPDATE subscriptions SET enabled = true WHERE id = :id RETURNING id", id=subscribed.id)
    await resent(world, delivery.id)
    await world.unsubscribed(subscribed.id)
    with pytest.raises(use_cases.Discarded):
        await resent(world, delivery.id)
    assert receiver.sent == []
    await stranger.close()


async def test_a_subscription_that_goes_takes_along_what_is_being_sent_again(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    await end_all(world)
    (delivery,) = await world.deliveries()
    await asyncio.gather(resent(world, delivery.id), world.unsubscribed(subscribed.id), return_exceptions=True)

    assert await use_cases.claim_due(world.database, ROOM, 30.0) == []
    assert {state for state, _ in await world.states()} <= {"FAILED", "DISCARDED"}


async def test_a_package_that_is_sent_again_stays_as_it_was(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url, max_package_size=10)
    account_id = await world.an_account()
    await world.happened(order_placed(account_id), order_placed(account_id))
    await end_all(world, attempts=0)
    (delivery,) = await world.deliveries()
    await resent(world, delivery.id)
    await world.happened(order_placed(account_id))
    async with world.sending():
        await settled(world, "DELIVERED", "DELIVERED")

    assert sorted(len(orjson.loads(sent.body)["payload"]) for sent in receiver.sent) == [1, 2]
    assert delivery.body in [sent.body for sent in receiver.sent]


# -- through the gate


async def test_a_rebalancing_event_is_sent_again_only_under_its_own_configuration_version(
    world: World, receiver: Receiver
) -> None:
    await world.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")
    stays, goes, went = [await world.an_account() for _ in range(3)]
    await world.rebalanced(rebalancing(stays), rebalancing(goes), rebalancing(went))
    await end_all(world)
    first, second, third = await world.deliveries()
    await world.rows("UPDATE deliveries SET state = 'DELIVERED' WHERE id = :id RETURNING id", id=third.id)
    await world.applied(deleted(goes), deleted(went))
    # Configured anew: an event belongs to one version all the same.
    await world.applied(configured(goes, 2), configured(went, 2))
    await resent(world, first.id)
    for each in (second, third, second):
        with pytest.raises(use_cases.StoppedForGood):
            await resent(world, each.id)
    async with world.sending():
        await arrived(receiver, 1)
        await settled(world, "DELIVERED", "SUPPRESSED", "DELIVERED")

    assert len(receiver.sent) == 1
    assert (await world.states())[1] == ("SUPPRESSED", "CONFIGURATION_DELETED")
    assert (await world.deliveries())[2].attempts == 3, "what was delivered stays so"


async def test_a_deletion_waits_for_what_is_being_sent_again_and_stops_it(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    await end_all(world)
    (delivery,) = await world.deliveries()
    async with world.database.unit_of_work(Cause(world.client_id, "a-request")) as work:
        await use_cases.resend(work, delivery.id)
        deletion = asyncio.ensure_future(world.applied(deleted(account_id)))
        await asyncio.wait([deletion], timeout=0.1)
        assert not deletion.done()
    await deletion

    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED")]
    assert await use_cases.claim_due(world.database, ROOM, 30.0) == []


# -- recovering a window of time


async def test_a_window_is_recovered_in_the_order_of_planning_and_nothing_else(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url, ordered=True)
    accounts = [uuid4() for _ in range(3)]
    await world.waiting_for(subscribed.id, 30, *accounts)
    await end_all(world)
    found = await world.deliveries()
    await world.rows(
        "UPDATE deliveries SET state = 'DELIVERED', reason = NULL WHERE id = ANY(:ids) RETURNING id",
        ids=[each.id for each in found[9:12]],
    )
    since, until = found[3].created_at, found[27].created_at
    before = await recovery(world, subscribed.id, since, until=until)
    async with recovering(world, RecoveryPace(untried=4, pause=0.0, pause_when_full=0.0)), world.sending():
        await arrived(receiver, 21)
        await eventually(lambda: all_ended(world))

    wanted = [each for each in found[3:27] if each not in found[9:12]]
    for account_id in accounts:
        of_account = [each.body for each in wanted if each.account_id == account_id]
        assert [sent.body for sent in receiver.sent if sent.body in of_account] == of_account
    assert len(receiver.sent) == 21
    (row,) = await recovered(world)
    assert (row.id, row.state, row.recovered, row.suppressed) == (before.id, "COMPLETED", 21, 0)
    async with world.database.reading() as connection:
        assert (await use_cases.read_recovery(connection, world.client_id, row.id))[1] == 0


async def all_ended(world: World) -> bool:
    return all(state not in {"WAITING", "LEASED"} for state, _ in await world.states())


async def test_only_a_few_of_a_recovery_wait_at_once_and_a_live_delivery_passes(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 60)
    await end_all(world)
    await recovery(world, subscribed.id)
    few = RecoveryPace(untried=10, pause=0.0, pause_when_full=60.0)
    await gone_through(world, few)
    assert [state for state, _ in await world.states()].count("WAITING") == 10
    (row,) = await recovered(world)
    assert (row.state, row.recovered) == ("RUNNING", 10)

    # They fail once more and wait for their next attempt: that is no reason not to go on.
    claimed = await use_cases.claim_due(world.database, Capacity(100, 100, {}), 30.0, [subscribed.id])
    await use_cases.give_back(world.database, claimed)
    await world.rows(
        "UPDATE deliveries_open SET attempts = attempts + 1 WHERE client_id = :c RETURNING id", c=world.client_id
    )
    await world.rows("UPDATE recoveries SET due_at = now() WHERE client_id = :c RETURNING id", c=world.client_id)
    await gone_through(world, few)
    assert (await recovered(world))[0].recovered == 20
    await world.rows("UPDATE recoveries SET due_at = now() WHERE client_id = :c RETURNING id", c=world.client_id)
    await gone_through(world, RecoveryPace(untried=100, open=25, pause=0.0, pause_when_full=60.0))
    assert (await recovered(world))[0].recovered == 25, "but there is a bound to it"


async def test_a_recovery_whose_process_dies_is_gone_on_with_by_another(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 40)
    await end_all(world)
    await recovery(world, subscribed.id)
    await world.service.database.engine.dispose()

    async def dies_midway() -> None:
        async with world.database.unit_of_work() as work:
            turn = await storage.take_recovery(work.connection)
            assert turn is not None
            await storage.advance(work.connection, turn, await use_cases.recovery._step(work, turn, QUICKLY))
            assert not await use_cases.go_on_recovering(world.database, QUICKLY), "the others leave it alone meanwhile"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await dies_midway()
    assert {state for state, _ in await world.states()} == {"FAILED"}, "its step was not done"
    await asyncio.gather(*[gone_through(world, RecoveryPace(untried=100, pause=0.0)) for _ in range(3)])

    (row,) = await recovered(world)
    assert (row.state, row.recovered) == ("COMPLETED", 40)
    assert {state for state, _ in await world.states()} == {"WAITING"}


async def test_a_recovery_sends_nothing_that_the_gate_stops_or_that_is_too_large(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url)
    stays, goes = [await world.an_account() for _ in range(2)]
    await world.rebalanced(rebalancing(stays), rebalancing(goes))
    await end_all(world)
    await world.happened(allocation_changed(uuid4(), *LARGE), order_placed(stays))
    await end_all(world, attempts=0)
    await world.applied(deleted(goes))
    await recovery(world, subscribed.id)
    async with recovering(world), world.sending():
        await settled(world, "DELIVERED", "SUPPRESSED", "FAILED", "DELIVERED")
        await eventually(lambda: is_in(world, "COMPLETED"))

    (row,) = await recovered(world)
    assert (row.recovered, row.suppressed, row.left_out) == (2, 1, 1)
    assert len(receiver.sent) == 2
    # What has failed once more since stands behind: a recovery ends.
    await end_all(world)
    await gone_through(world)
    assert len(await recovered(world)) == 1


async def is_in(world: World, state: str) -> bool:
    return [row.state for row in await recovered(world)] == [state]


async def test_a_recovery_is_cancelled_stopped_with_its_subscription_and_alone_of_its_kind(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 5)
    await end_all(world)
    first = await recovery(world, subscribed.id)
    with pytest.raises(use_cases.RecoveryUnderWay):
        await recovery(world, subscribed.id)
    cause = Cause(world.client_id, "a-request")
    for client, refusal in ((world.another_client(), use_cases.RecoveryNotFound), (world.client_id, None)):
        async with world.database.unit_of_work(Cause(client, "a-request")) as work:
            if refusal is None:
                await use_cases.cancel_recovery(work, first.id)
            else:
                with pytest.raises(refusal):
                    await use_cases.cancel_recovery(work, first.id)
    async with world.database.unit_of_work(cause) as work:
        with pytest.raises(use_cases.RecoveryOver):
            await use_cases.cancel_recovery(work, first.id)
    await gone_through(world)
    assert {state for state, _ in await world.states()} == {"FAILED"}

    await recovery(world, subscribed.id)
    await world.unsubscribed(subscribed.id)
    await gone_through(world)
    assert [(row.state, row.reason) for row in await recovered(world)] == [
        ("CANCELLED", None),
        ("STOPPED", "SUBSCRIPTION_DISABLED"),
    ]
    assert {state for state, _ in await world.states()} == {"FAILED"}


# -- what cannot be sent at all


async def test_an_event_that_is_too_large_fails_visibly_and_holds_nothing_up(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    large = allocation_changed(uuid4(), *LARGE)
    async with world.sending():
        await world.happened(order_placed(uuid4()), large, order_placed(uuid4()))
        _, failed, _ = await settled(world, "DELIVERED", "FAILED", "DELIVERED")

    assert (failed.reason, failed.attempts, failed.body) == ("BODY_TOO_LARGE", 0, b"")
    assert len(large.model_dump_json().encode()) > LARGEST_PACKAGE
    with pytest.raises(use_cases.TooLargeToSend):
        await resent(world, failed.id)


# -- what has failed for days


async def test_a_subscription_that_has_failed_for_days_is_switched_off_with_one_event_and_a_reason(
    world: World, receiver: Receiver
) -> None:
    failing, sparse, changed, lucky = [await world.subscribed(receiver.url, rate_limit=50) for _ in range(4)]
    receiver.answers.extend([status(500)] * 4)
    await world.happened(order_placed(uuid4()))
    async with world.dispatching(schedule=[3600.0]):
        await eventually(lambda: tried(world, 4))
    # As if it had begun long ago: with attempts until now, with none since, with a change of the subscription since.
    for each, began, last, change in ((failing, 6, 0, 9), (sparse, 6, 3, 9), (changed, 6, 0, 4), (lucky, 4, 0, 9)):
        await long_ago(world, each.id, began, last, change)
    await world.waiting_for(failing.id, 30)
    answers = await asyncio.gather(*[use_cases.disable_failing(world.database, timedelta(days=5)) for _ in range(4)])

    assert sum(answers) == 1
    rows = await world.rows("SELECT * FROM subscriptions WHERE client_id = :c AND NOT enabled", c=world.client_id)
    assert [(row.id, row.disabled_reason) for row in rows] == [(failing.id, "no attempt has succeeded for 5 days")]
    (announced,) = await world.rows("SELECT headers, payload FROM outbox WHERE key = :k", k=str(failing.id))
    assert (announced.headers["ce_type"], announced.headers["ce_clientid"]) == (
        "SubscriptionDisabled",
        str(world.client_id),
    )
    assert orjson.loads(announced.payload)["reason"] == "no attempt has succeeded for 5 days"
    of_it = [(row.state, row.reason) for row in await world.deliveries() if row.subscription_id == failing.id]
    assert set(of_it) == {("FAILED", "SUBSCRIPTION_DISABLED")}
    assert len(of_it) == 31
    # Switched on again, it has its days anew, although nothing was sent to it yet.
    await world.rows(
        "UPDATE subscriptions SET enabled = true, updated_at = now() WHERE id = :id RETURNING id", id=failing.id
    )
    assert await use_cases.disable_failing(world.database, timedelta(days=5)) == 0


async def tried(world: World, attempts: int) -> bool:
    return len(await world.attempts()) == attempts


async def long_ago(world: World, subscription_id: UUID, began: int, last: int, change: int) -> None:
    days = {"began": timedelta(days=began), "last": timedelta(days=last), "change": timedelta(days=change)}
    await world.rows(
        """
        WITH e AS (UPDATE endpoints SET failing_since = failing_since - CAST(:began AS interval),
                                        failed_at = failed_at - CAST(:last AS interval)
                   WHERE subscription_id = :id AND failures > 0)
        UPDATE subscriptions SET updated_at = updated_at - CAST(:change AS interval) WHERE id = :id RETURNING id
        """,
        id=subscription_id,
        **days,
    )


async def test_what_waits_for_what_was_switched_off_is_ended_bit_by_bit_and_by_whoever_is_there(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 20)
    claimed = await use_cases.claim_due(world.database, Capacity(3, 3, {}), 0.0, [subscribed.id])
    given_up = "UPDATE endpoints SET given_up_at = now() WHERE subscription_id = :id RETURNING subscription_id"
    await world.rows(given_up, id=subscribed.id)
    await world.rows("UPDATE subscriptions SET enabled = false WHERE id = :id RETURNING id", id=subscribed.id)
    monkeypatch.setattr(storage, "ENDED_AT_ONCE", 7)
    await use_cases.disable_failing(world.database, timedelta(days=5))
    assert sorted(state for state, _ in await world.states()) == ["FAILED"] * 17 + ["LEASED"] * len(claimed)

    # The process that had claimed the others has died; whoever comes next ends them as well.
    await use_cases.release_lost(world.database)
    await use_cases.disable_failing(world.database, timedelta(days=5))
    assert {state for state, _ in await world.states()} == {"FAILED"}
    assert receiver.sent == []
