"""What the people who run the dispatcher see of all clients' subscriptions, and what they may do."""

import json
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from sqlalchemy import text

from services.webhook_dispatcher.domain import CircuitRule
from services.webhook_dispatcher.storage import watched
from tests.conftest import eventually

from .asking import Asker
from .issuer import Issuer
from .receiver import Receiver, status
from .world import World

OPS = uuid4()


@pytest.fixture
def ops(session: aiohttp.ClientSession, issuer: Issuer) -> Asker:
    """Somebody of ops, who has no subscription of their own."""
    return Asker(session, OPS, issuer.token(OPS, "ops:admin"))


async def _shown(ops: Asker, subscription_id: UUID, **query: str) -> Any:
    asked = "&".join(f"{name}={value}" for name, value in {"limit": "1000", **query}.items())
    answer = await ops.ask("GET", f"/ops/subscriptions?{asked}")
    assert answer.status == 200, answer.body
    found = [each for each in answer.body["data"] if each["id"] == str(subscription_id)]
    return found[0] if found else None


async def test_a_subscription_of_any_client_is_told_with_its_success_its_p95_and_what_waits(
    world: World, ops: Asker, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(f"{receiver.url}?secret=x")
    receiver.answers.extend([status(200), status(200), status(200), status(500)])
    async with world.dispatching(schedule=[60.0]):
        await world.waiting_for(subscribed.id, 4)
        await eventually(lambda: _recorded(world, 4))

    shown = await _shown(ops, subscribed.id)
    assert shown["client_id"] == str(world.client_id)
    assert shown["host"] == receiver.url.removeprefix("http://").partition("/")[0], "no path and no query"
    assert (shown["attempts"], shown["delivered"], shown["circuit"]) == (4, 3, "CLOSED")
    assert 0 < shown["p95_seconds"] < 2
    assert (shown["waiting"], shown["waiting_at_least"]) == (1, False)
    await world.unsubscribed(subscribed.id)
    assert await _shown(ops, subscribed.id) is None


async def _recorded(world: World, attempts: int) -> bool:
    return len(await world.attempts()) >= attempts


async def test_an_open_circuit_is_told_and_those_that_fail_are_found_among_all(
    world: World, ops: Asker, receiver: Receiver
) -> None:
    well, failing = await world.subscribed(receiver.url), await world.subscribed(receiver.url)
    receiver.answers.extend([status(500)] * 3)
    async with world.dispatching(circuit=CircuitRule(failures=3, open_seconds=60.0), schedule=[60.0] * 3):
        await world.waiting_for(failing.id, 3)
        await eventually(lambda: _has_circuit(ops, failing.id, "OPEN"))

    shown = await _shown(ops, failing.id, failing="true")
    assert (shown["attempts"], shown["delivered"], shown["waiting"]) == (3, 0, 3)
    assert shown["failing_since"] is not None
    assert await _shown(ops, well.id, failing="true") is None
    mine = await ops.ask("GET", f"/ops/subscriptions?client_id={world.client_id}")
    assert {each["id"] for each in mine.body["data"]} == {str(well.id), str(failing.id)}
    await world.rows(
        "UPDATE endpoints SET open_until = now() - interval '1 s' WHERE subscription_id = :s RETURNING 1", s=failing.id
    )
    assert await _has_circuit(ops, failing.id, "HALF_OPEN")


async def _has_circuit(ops: Asker, subscription_id: UUID, circuit: str) -> bool:
    return bool((await _shown(ops, subscription_id))["circuit"] == circuit)


async def test_very_much_that_waits_is_counted_up_to_a_thousand(world: World, ops: Asker, receiver: Receiver) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 1_001)
    shown = await _shown(ops, subscribed.id)
    assert (shown["waiting"], shown["waiting_at_least"]) == (1_000, True)
    assert shown["overdue_seconds"] > 0
    await world.unsubscribed(subscribed.id)


async def test_ops_pause_and_resume_a_subscription_in_its_clients_name(
    ops: Asker, asker: Asker, receiver: Receiver
) -> None:
    subscribed = await asker.subscribed(receiver.url)
    for does, is_paused in (("pause", True), ("resume", False)):
        answer = await ops.ask("POST", f"/ops/subscriptions/{subscribed['id']}/{does}")
        assert (answer.status, answer.body) == (204, None)
        seen = (await asker.ask("GET", f"/webhooks/{subscribed['id']}")).body
        assert (seen["paused_at"] is not None) == is_paused
    unknown = await ops.ask("POST", f"/ops/subscriptions/{uuid4()}/pause")
    assert (unknown.status, unknown.body["type"]) == (404, "/problems/not_found")


async def test_ops_send_a_failed_delivery_again_and_are_told_what_may_not_be(
    world: World, ops: Asker, asker: Asker, receiver: Receiver
) -> None:
    subscribed = await asker.subscribed(receiver.url)
    receiver.answers.append(status(500))
    async with world.dispatching(schedule=[]):
        delivery = await asker.tested(subscribed)
        failed = await asker.in_state(delivery, "FAILED")
        again = await ops.ask("POST", f"/ops/deliveries/{failed['id']}/resend")
        assert (again.status, again.body["state"]) == (202, "WAITING")
        await asker.in_state(delivery, "DELIVERED")
    await asker.changed(subscribed, enabled=False)
    refused = await ops.ask("POST", f"/ops/deliveries/{failed['id']}/resend")
    assert refused.status == 409
    assert (await ops.ask("POST", f"/ops/deliveries/{uuid4()}/resend")).status == 404


async def test_what_is_told_of_subscriptions_costs_no_more_for_all_that_was_delivered(
    world: World, receiver: Receiver
) -> None:
    subscribed = await world.subscribed(receiver.url)
    await _delivered(world, subscribed.id, 200)
    little = await _touched(world, subscribed.id)
    await _delivered(world, subscribed.id, 5_000)
    assert await _touched(world, subscribed.id) < 1.5 * little


async def _delivered(world: World, subscription_id: UUID, count: int) -> None:
    """Deliveries that have ended, each with an attempt."""
    async with world.database.unit_of_work(None) as work:
        await work.connection.execute(
            text(
                """
                WITH ended AS (
                    INSERT INTO deliveries (id, subscription_id, client_id, event_source, event_id, event_time,
                                            event_type, gated, body, state, attempts)
                    SELECT gen_random_uuid(), s.id, s.client_id, '/bulk', n, now(), 'PORTFOLIO_ORDER.NEW', false, '',
                           'DELIVERED', 1
                    FROM subscriptions AS s, generate_series(1, :count) AS n WHERE s.id = :id RETURNING id)
                INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome)
                SELECT id, 1, now(), now(), 'DELIVERED' FROM ended
                """
            ),
            {"id": subscription_id, "count": count},
        )


async def _touched(world: World, subscription_id: UUID) -> int:
    """How many buffers the statement touches, as EXPLAIN counts them."""
    explained = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {watched._DOING.text}")
    asked = {"ids": [subscription_id], "counted": 1_000, "newest": 50}
    async with world.database.reading() as connection:
        await connection.execute(text("ANALYZE deliveries, attempts"))
        plan: Any = (await connection.execute(explained, asked)).scalar_one()
    (told,) = json.loads(plan) if isinstance(plan, str) else plan
    return int(told["Plan"]["Shared Hit Blocks"]) + int(told["Plan"]["Shared Read Blocks"])
