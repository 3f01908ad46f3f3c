"""When accounts have no NEW orders any more, as another connection sees it: one statement for all of them."""

import asyncio
import time
from collections.abc import Iterable
from uuid import UUID

import asyncpg

_LOOK_EVERY = 0.01

#: One probe of the index for each: what looks must not cost what is looked at its processor.
_STILL = """
SELECT account_id FROM unnest($1::uuid[]) AS waiting(account_id)
WHERE EXISTS (SELECT FROM orders WHERE orders.account_id = waiting.account_id AND orders.status = 'NEW' OFFSET 0)
"""


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
