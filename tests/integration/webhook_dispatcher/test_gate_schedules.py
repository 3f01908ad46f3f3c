"""P5 for every way back: retries, resends and recoveries, with a deletion at each moment of each.

First every schedule of two replicas, a slow endpoint and a deletion, step by step; then two dispatchers at work.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Attempt, CircuitRule, Claimed, Outcome
from services.webhook_dispatcher.storage import Capacity
from shared.kit.refusals import Conflict
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import deleted, rebalancing

from .receiver import Answer, Receiver, status
from .test_gate import nothing_is_open
from .test_repair import QUICKLY, gone_through, recovering, recovery, resent
from .world import World

#: an open circuit would only make it less
NEVER = CircuitRule(failures=10**6)
ROOM = Capacity(free=10, per_endpoint=10, busy={})
NOWHERE = "http://127.0.0.1:9/hook"
#: As in Kafka: what stands in a partition is applied in its order.
PARTITION = asyncio.Lock()


class Schedule:
    """One delivery's way, step by step, with the deletion of its configuration before or during one of them."""

    def __init__(self, world: World, account_id: UUID, subscription_id: UUID) -> None:
        self.world = world
        self.account_id = account_id
        self.subscription_id = subscription_id
        self.deleted = False
        self.under_way: list[Claimed] = []

    async def delete(self) -> None:
        async with PARTITION:
            await self.world.applied(deleted(self.account_id))
        self.deleted = True

    async def plan(self) -> None:
        await self.world.rebalanced(rebalancing(self.account_id, 1))

    async def claim(self) -> None:
        """One replica or the other: they know nothing of each other but the database."""
        was_deleted = self.deleted
        self.under_way = await use_cases.claim_due(self.world.database, ROOM, 30.0, [self.subscription_id])
        assert not (was_deleted and self.under_way), "an attempt has started after the deletion"

    async def fail_for_now(self) -> None:
        await self._answered(Outcome.REJECTED, [0.0])

    async def fail(self) -> None:
        await self._answered(Outcome.REJECTED, [])

    async def deliver(self) -> None:
        await self._answered(Outcome.DELIVERED, [])

    async def hand_back(self) -> None:
        await use_cases.give_back(self.world.database, self.under_way)

    async def resend(self) -> None:
        for delivery in await self._deliveries():
            with contextlib.suppress(Conflict):
                await resent(self.world, delivery.id)

    async def recover(self) -> None:
        await recovery(self.world, self.subscription_id)

    async def step(self) -> None:
        await gone_through(self.world, QUICKLY)

    async def _answered(self, outcome: Outcome, schedule: list[float]) -> None:
        now = datetime.now(UTC)
        attempts = [(each, Attempt(outcome, now, now, status=200)) for each in self.under_way]
        if attempts:
            await use_cases.record_attempts(self.world.database, attempts, schedule)

    async def _deliveries(self) -> list[Any]:
        return list(
            await self.world.rows("SELECT id FROM deliveries WHERE subscription_id = :s", s=self.subscription_id)
        )


Step = Callable[[Schedule], Awaitable[None]]

WAYS: dict[str, list[Step]] = {
    "retry": [Schedule.plan, Schedule.claim, Schedule.fail_for_now, Schedule.claim, Schedule.deliver],
    "hand back": [Schedule.plan, Schedule.claim, Schedule.hand_back, Schedule.claim, Schedule.deliver],
    "resend what failed": [
        Schedule.plan, Schedule.claim, Schedule.fail, Schedule.resend, Schedule.claim, Schedule.fail_for_now,
        Schedule.claim, Schedule.deliver,
    ],
    "resend what was delivered": [
        Schedule.plan, Schedule.claim, Schedule.deliver, Schedule.resend, Schedule.claim, Schedule.deliver,
    ],
    "recovery": [
        Schedule.plan, Schedule.claim, Schedule.fail, Schedule.recover, Schedule.step, Schedule.claim, Schedule.fail,
        Schedule.resend, Schedule.claim, Schedule.deliver,
    ],
}  # fmt: skip


async def test_no_way_back_starts_an_attempt_after_the_deletion_at_whatever_moment_that_comes(world: World) -> None:
    at_once = asyncio.Semaphore(5)

    async def played(steps: list[Step], moment: int, *, during: bool) -> World:
        client = World(world.service, world.box, world.rule)
        async with at_once:
            subscribed = await client.subscribed(NOWHERE, "REBALANCING_EXECUTION_ORDER")
            # In its turn: a later position that is stored first would make an attempt before the deletion look late.
            async with PARTITION:
                account_id = await client.an_account()
            schedule = Schedule(client, account_id, subscribed.id)
            for number, step in enumerate(steps):
                if number == moment and not during:
                    await schedule.delete()
                if number == moment and during:
                    await asyncio.gather(step(schedule), schedule.delete())
                else:
                    await step(schedule)
        return client

    clients = await asyncio.gather(
        *[
            played(steps, moment, during=during)
            for steps in WAYS.values()
            for moment in range(1, len(steps))
            for during in (False, True)
        ]
    )
    assert len(clients) == 58
    assert await late_attempts(world, [each.client_id for each in clients]) == []
    states = [state for each in clients for state in await each.states()]
    assert {state for state, _ in states} == {"DELIVERED", "SUPPRESSED"}
    assert ("SUPPRESSED", "CONFIGURATION_DELETED") in states
    for each in clients:
        await each.close()


async def late_attempts(world: World, clients: list[UUID]) -> list[Any]:
    """Those that the log shows to have been claimed when the deletion of their version had been applied."""
    return list(
        await world.rows(
            """
            SELECT attempts.* FROM attempts JOIN deliveries ON deliveries.id = delivery_id
            JOIN configurations USING (account_id)
            WHERE deliveries.client_id = ANY(:clients)
              AND (attempts.projection_position > configurations.deletion_position
                   OR attempts.deletion_position IS NOT NULL)
            """,
            clients=clients,
        )
    )


async def test_two_dispatchers_a_slow_endpoint_resends_and_recoveries_never_get_past_a_deletion(
    world: World, receiver: Receiver
) -> None:
    chance = random.Random(20261127)  # noqa: S311 -- moments, not secrets
    subscribed = await world.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")
    receiver.answers.extend([slowly(chance.random() * 0.05, chance.choice([200, 500, 500])) for _ in range(1000)])
    accounts = [await world.an_account() for _ in range(16)]
    over = asyncio.Event()

    async def rebalance(account_id: UUID) -> None:
        for _ in range(3):
            await asyncio.sleep(chance.random() * 0.3)
            await world.rebalanced(rebalancing(account_id, 1))

    async def delete_all() -> None:
        # By what was sent and not by the clock: each has had its chances, on a slow machine as well.
        for number, account_id in enumerate(accounts):
            await eventually(partial(has_sent, receiver, 6 * number), every=0.002)
            await world.applied(deleted(account_id))

    async def repair() -> None:
        while not over.is_set():
            await asyncio.sleep(0.02)
            ended = await world.rows(
                "SELECT id FROM deliveries_ended WHERE client_id = :c ORDER BY random() LIMIT 3", c=world.client_id
            )
            for each in ended:
                with contextlib.suppress(Conflict):
                    await resent(world, each.id)
            with contextlib.suppress(Conflict):
                await recovery(world, subscribed.id)

    async with world.dispatching(circuit=NEVER), world.dispatching(circuit=NEVER), recovering(world):
        repairing = asyncio.ensure_future(repair())
        await asyncio.gather(*[rebalance(each) for each in accounts], delete_all())
        over.set()
        await repairing
        await gone_through(world, QUICKLY)
        await eventually(lambda: nothing_is_open(world))

    assert await late_attempts(world, [world.client_id]) == []
    rows = await world.deliveries()
    assert max(row.attempts for row in rows) > 3, "none was sent again"
    assert {row.state for row in rows} >= {"DELIVERED", "SUPPRESSED"}


async def has_sent(receiver: Receiver, count: int) -> bool:
    return len(receiver.sent) >= count


def slowly(seconds: float, code: int) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await status(code)(request)

    return answer
