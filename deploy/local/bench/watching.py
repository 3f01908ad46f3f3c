"""When accounts have no NEW orders any more, as another connection sees it: one statement for all of them."""

import asyncio
import time
from collections.abc import Iterable
from uuid import UUID

import asyncpg

_LOOK_EVERY = 0.01

_STILL = "SELECT DISTINCT account_id FROM orders WHERE account_id = ANY($1::uuid[]) AND status = 'NEW'"


class Watch:
    """Looks at many accounts at the price of one."""

    def __init__(self, orders: asyncpg.Pool) -> None:
        self._orders = orders

    async def cancelled(self, accounts: Iterable[UUID]) -> dict[UUID, float]:
        """When each was first seen without a NEW order, on the monotonic clock; returns once all are."""
        waiting, seen = set(accounts), dict[UUID, float]()
        while waiting:
            still = {row["account_id"] for row in await self._orders.fetch(_STILL, list(waiting))}
            now = time.monotonic()
            seen |= dict.fromkeys(waiting - still, now)
            waiting &= still
            await asyncio.sleep(_LOOK_EVERY)
        return seen
