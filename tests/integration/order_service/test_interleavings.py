"""P4 whatever the interleaving: creations, deletions, orders, duplicates and late messages against a small model.

The account's ledger portfolio is blocked and freed between them, and rebalancings are asked for.
"""

import asyncio
import os
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from services.order_service import use_cases
from services.order_service.domain import START, ConfigurationMissing, Order, PortfolioBlocked
from shared.contracts import ConfigurationState
from shared.kit.service import Service

from .world import Sent, World, account_state, configured, deleted, portfolio_state

#: Set to the printed number, it plays the same examples again.
SEED = int(os.environ.get("PORTFOLIO_BUS_TEST_SEED", random.SystemRandom().randrange(2**32)))

Tagged = tuple[UUID, int]


@dataclass
class Model:
    """What must hold, told in the plainest words: which states were delivered, which orders were taken."""

    told: list[ConfigurationState] = field(default_factory=list)
    delivered: list[ConfigurationState] = field(default_factory=list)
    taken: list[Tagged] = field(default_factory=list)
    started: set[UUID] = field(default_factory=set)
    portfolio_revision: int = 1
    blocked: bool = False

    def next_state(self, account_id: UUID) -> ConfigurationState:
        """What config_service would publish next: versions are created and deleted in turn."""
        version, odd = divmod(len(self.told), 2)
        self.told.append(deleted(account_id, version + 1) if odd else configured(account_id, version + 1))
        return self.told[-1]

    @property
    def current(self) -> ConfigurationState | None:
        return max(self.delivered, key=lambda state: state.revision, default=None)

    @property
    def takes_orders_under(self) -> int | None:
        if self.blocked or self.current is None or not self.current.configured:
            return None
        return self.current.version

    def expected_status(self, order_id: UUID, version: int) -> str:
        if order_id in self.started:
            return "PROCESSING"
        proven = (state.version - state.configured for state in self.delivered)
        return "CANCELLED" if version <= max(proven, default=0) else "NEW"


class Play:
    """One account in the service, and its model."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = Model()
        self.account_id, self.portfolio_id = uuid4(), uuid4()
        self.sent: list[Sent] = []

    async def begin(self) -> None:
        account = account_state(self.account_id, portfolio_id=self.portfolio_id)
        await self.world.applied(portfolio_state(self.portfolio_id), account)

    async def publish(self, _: int) -> None:
        """The next state is on its way; it arrives when a delivery picks it."""
        self.sent.append(self.world.sent(self.model.next_state(self.account_id)))

    async def publish_and_deliver(self, _: int) -> None:
        """The next state arrives at once."""
        await self.publish(_)
        await self._arrive(self.sent[-1:])

    async def deliver(self, pick: int) -> None:
        """Any state arrives, as the first time, again, or long after later ones."""
        await self._arrive(self._picked(pick, 1))

    async def deliver_batch(self, pick: int) -> None:
        await self._arrive(self._picked(pick, 3))

    async def order(self, _: int) -> None:
        under = self.model.takes_orders_under
        taken = await self._try_to_order()
        assert (taken.configuration_version if taken else None) == under

    async def order_while_delivering(self, pick: int) -> None:
        """Either may come first; nothing in between."""
        before = self.model.takes_orders_under
        taken, _ = await asyncio.gather(self._try_to_order(), self._arrive(self._picked(pick, 2)))
        assert (taken.configuration_version if taken else None) in {before, self.model.takes_orders_under}

    async def start(self, pick: int) -> None:
        """Upstream starts on an order that is still NEW."""
        new = [order for order in self.model.taken if self.model.expected_status(*order) == "NEW"]
        if not new:
            return
        order_id, _ = new[pick % len(new)]
        async with self.world.database.unit_of_work(self.world.cause) as work:
            await use_cases.lock_accounts(work, [self.account_id])
            await use_cases.move_order(work, self.world.cause, START, order_id)
        self.model.started.add(order_id)

    async def block(self, _: int) -> None:
        """The account's portfolio is blocked: what is NEW of rebalancings goes, and nothing comes until it is not."""
        await self._portfolio_turns(blocked=True)

    async def unblock(self, _: int) -> None:
        await self._portfolio_turns(blocked=False)

    async def rebalance(self, _: int) -> None:
        await self.world.rebalanced(self.account_id)

    async def rebalance_while_blocking(self, _: int) -> None:
        """Either may come first; nothing in between."""
        await asyncio.gather(self.world.rebalanced(self.account_id), self._portfolio_turns(blocked=True))

    async def _portfolio_turns(self, *, blocked: bool) -> None:
        self.model.portfolio_revision += 1
        state = portfolio_state(self.portfolio_id, revision=self.model.portfolio_revision, blocked=blocked)
        await self.world.applied(state)
        self.model.blocked = blocked

    async def check_execution_orders(self) -> None:
        """None is NEW while the portfolio is blocked, or under a version that is deleted."""
        rows = await self.world.rows(
            "SELECT configuration_version FROM orders WHERE account_id = :a AND kind = :k AND status = 'NEW'",
            k="REBALANCING",
            a=self.account_id,
        )
        assert {row.configuration_version for row in rows} <= {self.model.takes_orders_under}

    async def check(self) -> None:
        await self.check_execution_orders()
        rows = await self.world.rows(
            "SELECT id, status FROM orders WHERE account_id = :a AND kind = 'PORTFOLIO'", a=self.account_id
        )
        expected = {order_id: self.model.expected_status(order_id, version) for order_id, version in self.model.taken}
        assert {row.id: row.status for row in rows} == expected

    async def check_announcements(self) -> None:
        """Each order was announced once in each status that it had, and its cancellation never before it was taken."""
        told = await self.world.announced(self.account_id)
        announced = [(each.body["id"], each.type) for each in told if each.topic == "orders.events.v1"]
        assert len(announced) == len(set(announced))
        types = {"NEW": [], "PROCESSING": ["OrderProcessingStarted"], "CANCELLED": ["OrderCancelled"]}
        for order in self.model.taken:
            of_order = [type_ for id_, type_ in announced if id_ == str(order[0])]
            assert of_order == ["OrderPlaced", *types[self.model.expected_status(*order)]]

    def _picked(self, pick: int, count: int) -> list[Sent]:
        return [self.sent[(pick + step * step) % len(self.sent)] for step in range(count)] if self.sent else []

    async def _arrive(self, messages: list[Sent]) -> None:
        await self.world.applied(*messages)
        self.model.delivered += [message.message for message in messages]  # type: ignore[misc] # states all

    async def _try_to_order(self) -> Order | None:
        try:
            order = await self.world.an_order(self.account_id)
        except (ConfigurationMissing, PortfolioBlocked):
            return None
        self.model.taken.append((order.id, order.configuration_version or 0))
        return order


_STEPS = [
    Play.publish_and_deliver,
    Play.order,
    Play.publish,
    Play.deliver,
    Play.deliver_batch,
    Play.order_while_delivering,
    Play.start,
    Play.rebalance,
    Play.block,
    Play.unblock,
    Play.rebalance_while_blocking,
]


@pytest.fixture(scope="module", autouse=True)
def _seed_shown() -> None:
    print(f"PORTFOLIO_BUS_TEST_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure


@pytest.mark.timeout(300)  # a failure is made small first, which takes longer than the test
@seed(SEED)
@settings(max_examples=100, deadline=None, database=None)
@given(steps=st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(0, 30)), min_size=12, max_size=30))
async def test_no_order_of_a_deleted_version_stays_new(service: Service, steps: list[tuple[Any, int]]) -> None:
    play = Play(World(service))
    await play.begin()
    for step, pick in steps:
        await step(play, pick)
        await play.check()
    await play.check_announcements()
