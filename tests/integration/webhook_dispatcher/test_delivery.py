"""P6: what is planned reaches its subscriber, signed, at least once, or ends where a person can see it."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from sqlalchemy import text

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Capacity
from services.webhook_dispatcher.workers import DeliveryBacklog
from shared.kit.metrics import Measured
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import order_placed, rebalancing

from .receiver import Receiver, after, status
from .world import World

ROOM = Capacity(free=100, per_endpoint=100, busy={})


async def arrived(receiver: Receiver, count: int) -> None:
    async def there() -> bool:
        return len(receiver.sent) >= count

    await eventually(there)


async def settled(world: World, *states: str) -> list[Any]:
    """The deliveries, once their states are these."""

    async def there() -> list[Any]:
        found = await world.deliveries()
        return found if [row.state for row in found] == list(states) else []

    answer: list[Any] = await eventually(there)
    return answer


async def test_an_event_arrives_signed_as_the_official_library_verifies(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    account_id = await world.an_account()
    told = world.told(rebalancing(account_id))
    async with world.sending():
        await world.rebalanced(told)
        (delivery,) = await settled(world, "DELIVERED")

    (sent,) = receiver.sent
    (item,) = sent.verified(subscribed.secret)["payload"]
    assert item["id"] == told.envelope.id
    assert item["type"] == "REBALANCING_EXECUTION_ORDER.NEW"
    assert item["webhook_id"] == str(subscribed.id)
    assert item["object"]["account_id"] == str(account_id)
    assert sent.message_id == f"msg_{delivery.id.hex}"
    (attempt,) = await world.attempts()
    assert (attempt.outcome, attempt.status_code, attempt.number) == ("DELIVERED", 200, 1)


async def test_a_failed_attempt_is_repeated_with_the_same_id_and_body(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    receiver.answers.extend([status(500, b"not today"), status(302, Location="http://127.0.0.1/elsewhere")])
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        await settled(world, "DELIVERED")

    first, second, third = receiver.sent
    assert first.message_id == second.message_id == third.message_id
    assert first.body == second.body == third.body
    third.verified(subscribed.secret)
    attempts = await world.attempts()
    assert [(each.number, each.outcome, each.status_code) for each in attempts] == [
        (1, "REJECTED", 500),
        (2, "REJECTED", 302),
        (3, "DELIVERED", 200),
    ]
    assert attempts[0].response_body == b"not today"


async def test_a_delivery_fails_visibly_once_its_schedule_is_used_up(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    receiver.answers.extend([status(500)] * 3)
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        (delivery,) = await settled(world, "FAILED")

    assert (delivery.reason, delivery.attempts) == ("EXHAUSTED", 3)
    assert len(receiver.sent) == 3


async def test_retry_after_is_honoured_in_seconds_and_as_a_date(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    soon = datetime.now(UTC) + timedelta(seconds=90)
    receiver.answers.extend(
        [status(429, Retry_After="40"), status(503, Retry_After=format_datetime(soon, usegmt=True))]
    )
    account_id = await world.an_account()
    async with world.sending():
        await world.happened(order_placed(account_id))
        await arrived(receiver, 1)
        await world.happened(order_placed(account_id))
        await settled(world, "WAITING", "WAITING")

        async def asked_to_wait() -> bool:
            return [each.outcome for each in await world.attempts()] == ["ASKED_TO_WAIT"] * 2

        await eventually(asked_to_wait)

    first, second = await world.rows(
        "SELECT extract(epoch FROM due_at - updated_at) AS wait FROM deliveries WHERE client_id = :c ORDER BY id",
        c=world.client_id,
    )
    assert 39 < first.wait < 46
    assert 80 < second.wait < 101


async def test_an_endpoint_that_is_gone_switches_its_subscription_off_and_tells_ops(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url)
    receiver.answers.append(status(410))
    account_id = await world.an_account()
    await world.happened(order_placed(account_id))
    async with world.sending():
        await settled(world, "FAILED")
        await world.happened(order_placed(account_id))

    assert [row.reason for row in await world.deliveries()] == ["ENDPOINT_GONE"], "nothing is planned for it any more"
    (subscription,) = await world.rows("SELECT * FROM subscriptions WHERE id = :id", id=subscribed.id)
    assert (subscription.enabled, subscription.disabled_reason) == (False, "the endpoint answered 410")
    (announced,) = await world.rows("SELECT topic, headers, payload FROM outbox WHERE key = :k", k=str(subscribed.id))
    assert announced.topic == "subscriptions.events.v1"
    assert announced.headers["ce_type"] == "SubscriptionDisabled"
    assert announced.headers["ce_clientid"] == str(world.client_id)
    assert orjson.loads(announced.payload)["subscription_id"] == str(subscribed.id)


async def test_what_waited_for_an_endpoint_that_is_gone_fails_with_it(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    account_id = await world.an_account()
    release = asyncio.Event()
    receiver.answers.extend([after(release, status(410)), after(release, status(500))])
    await world.happened(*[order_placed(account_id) for _ in range(3)])
    *_, last = await world.deliveries()
    await world.rows("UPDATE deliveries SET due_at = now() + interval '1 hour' WHERE id = :id RETURNING id", id=last.id)
    async with world.sending():
        await arrived(receiver, 2)
        release.set()
        await settled(world, "FAILED", "FAILED", "FAILED")

    reasons = [row.reason for row in await world.deliveries()]
    assert sorted(reasons) == ["ENDPOINT_GONE", "SUBSCRIPTION_DISABLED", "SUBSCRIPTION_DISABLED"]


async def test_a_deleted_subscription_is_sent_nothing_more(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    account_id = await world.an_account()
    release = asyncio.Event()
    receiver.answers.append(after(release, status(500)))
    await world.happened(order_placed(account_id))
    async with world.sending():
        await arrived(receiver, 1)
        await world.unsubscribed(subscribed.id)
        release.set()
        (delivery,) = await settled(world, "DISCARDED")
        await world.happened(order_placed(account_id))

    assert delivery.reason == "SUBSCRIPTION_DELETED"
    assert len(await world.deliveries()) == len(receiver.sent) == 1


async def test_a_retry_survives_the_death_of_the_process_that_made_the_attempt(
    world: World, receiver: Receiver
) -> None:
    await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    # A process claims, and is never heard of again.
    (claimed,) = await use_cases.claim_due(world.database, ROOM, 0.2)
    assert claimed.client_id == world.client_id
    async with world.sending():
        await settled(world, "DELIVERED")

    (sent,) = receiver.sent
    assert sent.message_id == f"msg_{claimed.id.hex}"
    assert [(each.number, each.outcome) for each in await world.attempts()] == [(1, "LOST"), (2, "DELIVERED")]


async def test_an_attempt_that_outlives_its_lease_records_nothing(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    (mine,) = await use_cases.claim_due(world.database, ROOM, 0.0)
    await use_cases.release_lost(world.database)
    (theirs,) = await use_cases.claim_due(world.database, ROOM, 30.0)
    endpoints = world.endpoints()
    await endpoints.open()
    late = await use_cases.make_attempt(endpoints, mine)
    await endpoints.close()
    await use_cases.record_attempts(world.database, [(mine, late)], [])

    (delivery,) = await world.deliveries()
    assert (delivery.state, delivery.lease_token) == ("LEASED", theirs.lease_token)
    assert [each.outcome for each in await world.attempts()] == ["LOST"]


async def test_a_claim_that_is_handed_back_was_no_attempt(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    await world.happened(order_placed(await world.an_account()))
    claimed = await use_cases.claim_due(world.database, ROOM, 30.0)
    await use_cases.give_back(world.database, claimed)

    (delivery,) = await world.deliveries()
    assert (delivery.state, delivery.attempts) == ("WAITING", 0)
    assert await world.attempts() == []


async def test_what_is_under_way_at_a_stop_ends_or_is_given_back(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    never = asyncio.Event()
    receiver.answers.append(after(never, status(200)))
    await world.happened(*[order_placed(await world.an_account()) for _ in range(2)])
    async with world.sending():
        await arrived(receiver, 2)
    never.set()

    states = sorted(row.state for row in await world.deliveries())
    assert states == ["DELIVERED", "WAITING"]
    assert sorted(each.outcome for each in await world.attempts()) == ["DELIVERED", "INTERRUPTED"]


async def test_a_slow_endpoint_holds_no_more_than_its_share(world: World, receiver: Receiver) -> None:
    never = asyncio.Event()
    slow, quick = await world.subscribed(receiver.url, "PORTFOLIO_ORDER"), Receiver()
    await quick.start()
    try:
        receiver.answers.extend([after(never, status(200))] * 30)
        account_id = await world.an_account()
        await world.happened(*[order_placed(account_id) for _ in range(30)])
        await world.subscribed(quick.url, "PORTFOLIO_ORDER")
        async with world.sending():
            await arrived(receiver, 10)
            await world.happened(*[order_placed(account_id) for _ in range(20)])
            await arrived(quick, 20)
            leased = await world.rows(
                "SELECT 1 FROM deliveries WHERE subscription_id = :s AND state = 'LEASED'", s=slow.id
            )
            never.set()
    finally:
        await quick.stop()
    assert len(leased) == 10


async def test_only_the_beginning_of_an_endless_answer_is_kept(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    receiver.answers.append(status(200, b"x" * 1_000_000))
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        await settled(world, "DELIVERED")

    (attempt,) = await world.attempts()
    assert attempt.response_body == b"x" * 4096


async def test_an_endpoint_that_hangs_or_is_away_is_an_outcome_like_any_other(world: World, receiver: Receiver) -> None:
    never = asyncio.Event()
    receiver.answers.extend([after(never, status(200))])
    await world.subscribed(receiver.url)
    gone = Receiver()
    await gone.start()
    await world.subscribed(gone.url)
    await gone.stop()
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        await settled(world, "DELIVERED", "FAILED")
    never.set()

    outcomes = [each.outcome for each in await world.attempts()]
    assert outcomes == ["TIMED_OUT", "DELIVERED", "CONNECT_FAILED", "CONNECT_FAILED", "CONNECT_FAILED"]


async def test_a_secret_that_cannot_be_opened_is_an_outcome_too(world: World, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    async with world.database.unit_of_work() as work:
        await work.connection.execute(
            text("UPDATE subscriptions SET sealed_secret = 'x' WHERE id = :id"), {"id": subscribed.id}
        )
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        await settled(world, "FAILED")

    assert receiver.sent == []
    assert {each.outcome for each in await world.attempts()} == {"NOT_SENT"}


async def test_a_name_that_leads_to_a_forbidden_address_is_refused_when_it_is_dialled(
    world: World, receiver: Receiver
) -> None:
    await world.subscribed(receiver.url.replace("127.0.0.1", "ip6-localhost"))
    async with world.sending():
        await world.happened(order_placed(await world.an_account()))
        await settled(world, "FAILED")

    assert {each.outcome for each in await world.attempts()} <= {"FORBIDDEN_ADDRESS", "DNS_FAILED"}
    assert receiver.sent == []


def measured(by: Measured) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("portfolio_bus_"), *sample.labels.values()): sample.value
        for metric in by.collect()
        for sample in metric.samples
    }


async def test_attempts_are_counted_by_outcome_and_timed_from_the_event_to_its_acknowledgement(
    world: World, receiver: Receiver
) -> None:
    await world.subscribed(receiver.url)
    receiver.answers.append(status(500))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with world.dispatching() as worker:
        await world.happened(world.told(order_placed(await world.an_account())).again(time=an_hour_ago))
        await settled(world, "DELIVERED")

    seen = measured(worker.sendings)
    attempts = {labels[1]: value for labels, value in seen.items() if labels[0] == "delivery_attempts_total" and value}
    # What other tests have left over is tried by this worker as well, and reaches nobody.
    assert attempts.items() >= {"DELIVERED": 1, "REJECTED": 1}.items()
    assert seen["delivery_attempt_seconds_count",] == sum(attempts.values())
    assert 0 < seen["delivery_attempt_seconds_sum",] < 10
    assert seen["delivery_acknowledged_seconds_count",] == 1, "a failed attempt acknowledges nothing"
    assert 3600 <= seen["delivery_acknowledged_seconds_sum",] < 3660


async def test_the_backlog_tells_what_waits_how_long_it_is_overdue_and_behind_which_circuits(world: World) -> None:
    async def seen() -> dict[tuple[str, ...], float]:
        async def told() -> dict[tuple[str, ...], float]:
            backlog = DeliveryBacklog(world.database)
            assert not measured(backlog), "nothing is told before it was asked"
            await backlog.refresh()
            return measured(backlog)

        # On a busy machine an answer may take longer than a scrape waits for it.
        answer: dict[tuple[str, ...], float] = await eventually(told)
        return answer

    # What other tests have left open would become half-open in the midst of this one.
    await world.rows("UPDATE endpoints SET open_until = NULL WHERE open_until IS NOT NULL RETURNING 1")
    before = await seen()
    subscribed = await world.subscribed("http://127.0.0.1:9/hook")
    await world.waiting_for(subscribed.id, 3)
    opened = (
        "UPDATE endpoints SET open_until = now() + make_interval(secs => :s) WHERE subscription_id = :id RETURNING 1"
    )
    await world.rows(opened, s=60, id=subscribed.id)
    due = "UPDATE deliveries SET due_at = now() - interval '5 hours' WHERE subscription_id = :id RETURNING 1"
    await world.rows(due, id=subscribed.id)
    after = await seen()
    assert after["deliveries_open",] == before["deliveries_open",] + 3
    assert 5 * 3600 <= after["deliveries_overdue_seconds",] < 5 * 3600 + 60
    assert after["delivery_circuits", "open"] == before["delivery_circuits", "open"] + 1

    await world.rows(opened, s=-1, id=subscribed.id)
    assert (await seen())["delivery_circuits", "half_open"] == before["delivery_circuits", "half_open"] + 1
    paused = "UPDATE subscriptions SET paused_at = now() WHERE id = :id RETURNING 1"
    await world.rows(paused, id=subscribed.id)
    assert (await seen())["deliveries_overdue_seconds",] < 5 * 3600, "it waits because somebody wants it to"
    await world.rows(paused.replace("now()", "NULL"), id=subscribed.id)
    assert (await seen())["deliveries_overdue_seconds",] >= 5 * 3600
    await world.unsubscribed(subscribed.id)
    gone = await seen()
    assert gone["deliveries_overdue_seconds",] < 5 * 3600
    assert gone["delivery_circuits", "half_open"] == before["delivery_circuits", "half_open"]
