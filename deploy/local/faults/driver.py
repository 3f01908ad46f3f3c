"""The driver: makes allocations and subscriptions, then keeps so many accounts alive until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from deploy.local.faults.lives import Life
from deploy.local.faults.plan import Plan
from deploy.local.faults.upstream import Upstream
from deploy.local.faults.world import World

_ITEM = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
_ALLOCATIONS = 2


def subscriptions(plan: Plan) -> Sequence[dict[str, Any]]:
    """The subscriptions of each client: everything in order, everything after a while, and two kinds at once."""
    return (
        {"title": "ordered", "type": ["ALL"], "config": {"ordered": True}},
        {"title": "delayed", "type": ["ALL"], "config": {"delay": plan.delay, "max_package_size": 5}},
        {"title": "quick", "type": ["REBALANCING_EXECUTION_ORDER", "PORTFOLIO_CONFIGURATION"]},
    )


async def prepare(world: World, plan: Plan, hooks: str) -> None:
    """Make what has to be there before anything happens; `hooks` is the base URL of the receiver."""
    for upstream in world.upstreams:
        await _prepare_client(world, upstream, plan, hooks)


async def _prepare_client(world: World, upstream: Upstream, plan: Plan, hooks: str) -> None:
    for wanted in subscriptions(plan):
        hook = f"{upstream.client_id}-{wanted['title']}"
        body = {**wanted, "url": f"{hooks}/{hook}"}
        made = await upstream.ask("webhook_dispatcher", "POST", "/webhooks", body, act="subscribe", expect=[201])
        shown = {"client": upstream.client_id, "subscription": made.body["id"], "types": made.body["type"]}
        world.ledger.write("subscribed", hook=hook, ordered=made.body["config"]["ordered"], **shown)
    for _ in range(_ALLOCATIONS):
        body = {"allocation": [_ITEM]}
        path = "/portfolios/allocations"
        made = await upstream.ask("config_service", "POST", path, body, act="allocate", expect=[201])
        world.allocations.setdefault(upstream.client_id, []).append(made.body["allocation_id"])


async def drive(world: World, plan: Plan) -> None:
    """Live until the world says that it is over and every life has ended."""
    async with asyncio.TaskGroup() as lives:
        for _ in range(plan.lives):
            lives.create_task(_one_after_the_other(world))


async def _one_after_the_other(world: World) -> None:
    while not world.over.is_set():
        await Life(world, world.chance.choice(world.upstreams)).live()
