"""The life of one account: opened, configured, traded, rebalanced, deleted and configured anew, in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from deploy.local.demo.upstream import rebalancing_of
from deploy.local.faults.upstream import OP, Upstream
from deploy.local.faults.world import World
from shared.contracts import (
    CancelOrder,
    ChangeConfiguration,
    Command,
    CreateConfiguration,
    DeleteConfiguration,
    FillOrder,
    OrderSide,
    PlaceOrder,
    RejectOrder,
    RequestRebalancing,
    SettleOrder,
    StartOrderProcessing,
)

#: What can be done to an order, in no order: most of it comes too early or too late, and is refused.
_MOVES = (StartOrderProcessing, StartOrderProcessing, FillOrder, FillOrder, SettleOrder, RejectOrder, CancelOrder)

#: Every topic on which something unreadable is put, and the groups that must park it.
POISONED = {
    "configurations.commands.v1": ["config_service.commands"],
    "configurations.events.v1": ["order_service.copies", "webhook_dispatcher.copies", "webhook_dispatcher.events"],
    "orders.commands.v1": ["order_service.commands"],
    "orders.events.v1": ["webhook_dispatcher.events"],
    "rebalancings.events.v1": ["webhook_dispatcher.rebalancings"],
}

Step = Callable[[], Awaitable[None]]


class Life:
    """One account of one client."""

    def __init__(self, world: World, owner: Upstream) -> None:
        self._world = world
        self._owner = owner
        self._chance = random.Random(world.chance.random())  # noqa: S311 -- fates, not secrets
        self._user = str(uuid4())
        self._account = ""
        self._allocation = ""
        self._version = 0
        self._orders: list[str] = []
        self._ended = False

    async def live(self) -> None:
        """Do this and that until the account's time, or the run's, is over."""
        await self._open()
        await self._configure()
        # Until then an order could be refused: the change is committed, and nobody can know it yet.
        await self._world.until_readable(self._account, self._version, configured=True)
        await self._place(named=True)
        steps: dict[Step, int] = {
            self._place: 5,
            self._place_by_command: 6,
            self._move: 7,
            self._rebalance: 2,
            self._engine: 4,
            self._reconfigure: 3,
            self._change: 1,
            self._stranger: 1,
            self._poison: 1,
        }
        for _ in range(self._chance.randint(8, 24)):
            if self._ended or self._world.over.is_set():
                return
            await self._world.pace.turn()
            [step] = self._chance.choices(list(steps), list(steps.values()))
            await step()

    @property
    def _client(self) -> str:
        return self._owner.client_id

    async def _open(self) -> None:
        body = {"user_id": self._user, "type": "PORTFOLIO", "name": OP}
        answer = await self._owner.ask("config_service", "POST", "/accounts", body, act="open", expect=[201])
        self._account = answer.body["account_id"]

    async def _configure(self) -> None:
        allocation = self._allocation = self._chance.choice(self._world.allocations[self._client])
        if self._chance.random() < 0.5:  # noqa: PLR2004 -- half by each way
            body = {"account_id": self._account, "allocation_id": allocation}
            path = "/portfolios/configurations"
            await self._owner.ask("config_service", "POST", path, body, expect=[201], **self._acts("configure"))
        else:
            message = CreateConfiguration(account_id=UUID(self._account), allocation_id=UUID(allocation))
            await self._done(message, "configure", expect=["accepted"])
        self._version += 1

    async def _change(self) -> None:
        # To the one that it has, nothing would be announced.
        others = [each for each in self._world.allocations[self._client] if each != self._allocation]
        self._allocation = self._chance.choice(others)
        message = ChangeConfiguration(account_id=UUID(self._account), allocation_id=UUID(self._allocation))
        await self._done(message, "change", expect=["accepted"])

    async def _delete(self) -> None:
        if self._chance.random() < 0.5:  # noqa: PLR2004 -- half by each way
            path = f"/portfolios/configurations/{self._account}"
            meant = await self._owner.ask("config_service", "GET", path, expect=[200], **self._acts("read"))
            # An answer that was lost makes the repetition a 404. One that a stopped process still holds, and does once
            # it wakes, must not meet the next version.
            acts = self._acts("delete", version=self._version)
            await self._owner.ask("config_service", "DELETE", path, if_match=meant.etag, expect=[204, 404], **acts)
        else:
            message = DeleteConfiguration(account_id=UUID(self._account))
            await self._done(message, "delete", expect=["accepted"], version=self._version)

    async def _reconfigure(self) -> None:
        """Delete the configuration while orders come in; engines tell of the old version before and after."""
        version = self._version
        racing = [asyncio.create_task(self._place_by_command()) for _ in range(self._chance.randint(0, 3))]
        await self._publish(version=version)
        await self._delete()
        await asyncio.gather(*racing)
        await self._world.until_readable(self._account, version, configured=False)
        self._ended = self._chance.random() < 0.4  # noqa: PLR2004 -- some never come back
        await self._publish(version=version, stopped=True)
        # One that names no version belongs to whatever stands when it is taken up, which may be the next version.
        await self._publish(version=None, stopped=self._ended)
        await self._rebalance()
        if not self._ended:
            await self._configure()
            await self._world.until_readable(self._account, self._version, configured=True)
            await self._publish(version=version, stopped=True)
            await self._publish(version=self._version)
            # A change proves the older versions deleted, and must leave orders of this one alone.
            await self._place(named=True)
            await self._change()

    async def _place(self, *, named: bool = False) -> None:
        body = {
            "user_id": self._user,
            "account_id": self._account,
            "cash_amount": "10.00",
            "currency": "EUR",
            "side": "BUY",
            "client_reference": OP,
        }
        numbered = body | {"configuration_version": self._version} if named else body
        acts = self._acts("place", expect=[201] if named else [201, 409, 422])
        answer = await self._owner.ask("order_service", "POST", "/portfolios/orders", numbered, **acts)
        if answer.status == 201:  # noqa: PLR2004 -- HTTP
            self._orders.append(answer.body["id"])

    async def _place_by_command(self) -> None:
        reference = str(uuid4())
        version = self._chance.choice([None, self._version])
        message = PlaceOrder(
            user_id=UUID(self._user),
            account_id=UUID(self._account),
            cash_amount=Decimal("20.00"),
            currency="EUR",
            side=OrderSide.BUY,
            client_reference=reference,
            configuration_version=version,
        )
        acts = self._acts("place", reference=reference)
        replied = await self._world.command(self._client, message, copies=self._copies(), **acts)
        replied.add_done_callback(self._remember)

    def _remember(self, replied: asyncio.Future[dict[str, Any]]) -> None:
        if not replied.cancelled() and replied.result()["accepted"]:
            self._orders.append(replied.result()["resource"]["id"])

    async def _move(self) -> None:
        if self._orders:
            order = self._chance.choice(self._orders[-6:])
            kind = self._chance.choice(_MOVES)
            message = kind(account_id=UUID(self._account), order_id=UUID(order))
            acts = self._acts("move", order=order)
            await self._world.command(self._client, message, copies=self._copies(), **acts)

    async def _rebalance(self) -> None:
        if self._chance.random() < 0.5:  # noqa: PLR2004 -- half by each way
            path, body = "/portfolios/rebalancings/executions", {"accounts": [self._account]}
            await self._owner.ask("order_service", "POST", path, body, expect=[201], **self._acts("rebalance"))
        else:
            message = RequestRebalancing(execution_id=uuid4(), accounts=(UUID(self._account),))
            acts = self._acts("rebalance", execution=str(message.execution_id), expect=["accepted"])
            await self._world.command(self._client, message, copies=self._copies(), **acts)

    async def _engine(self) -> None:
        # A version is named only once it is readable, as an engine that reads the topic would.
        await self._world.until_readable(self._account, self._version, configured=True)
        await self._publish(version=self._chance.choice([None, self._version]))

    async def _publish(self, *, version: int | None, stopped: bool = False) -> None:
        told = {"account": self._account, "version": version, "stopped": stopped}
        event = rebalancing_of(self._account, version)
        await self._world.publish(self._client, event, copies=self._copies(), **told)

    async def _stranger(self) -> None:
        """Another client tries what only the owner may."""
        others = [each for each in self._world.upstreams if each is not self._owner]
        other = self._chance.choice(others)
        acts = self._acts("intrude", owner=self._client)
        path = f"/portfolios/configurations/{self._account}"
        await other.ask("config_service", "DELETE", path, expect=[404], **acts)
        if self._orders:
            path = f"/portfolios/orders/{self._orders[-1]}"
            await other.ask("order_service", "GET", path, expect=[404], **acts)
            message = CancelOrder(account_id=UUID(self._account), order_id=UUID(self._orders[-1]))
            await self._world.command(other.client_id, message, expect=["rejected"], **acts)
        event = rebalancing_of(self._account, self._version)
        await self._world.publish(other.client_id, event, account=self._account, intrudes=True)

    async def _poison(self) -> None:
        topic = self._chance.choice(list(POISONED))
        await self._world.poison(topic, POISONED[topic])

    async def _done(self, message: Command, act: str, **told: Any) -> None:  # noqa: ANN401 -- any JSON
        replied = await self._world.command(self._client, message, copies=self._copies(), **self._acts(act), **told)
        await replied

    def _acts(self, act: str, **told: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON
        return {"act": act, "account": self._account, **told}

    def _copies(self) -> int:
        return 2 if self._chance.random() < 0.1 else 1  # noqa: PLR2004 -- some are sent twice
