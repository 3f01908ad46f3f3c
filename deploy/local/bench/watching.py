"""When accounts have no NEW orders any more, as another connection sees it: one statement for all of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

_LOOK_EVERY = 0.003

#: One probe of the index for each: what looks must not cost what is looked at its processor.
_STILL = """
SELECT account_id FROM unnest($1::uuid[]) AS waiting(account_id)
WHERE EXISTS (SELECT FROM orders WHERE orders.account_id = waiting.account_id AND orders.status = 'NEW' OFFSET 0)
"""


class Watch:
    """Looks at many accounts at the price of one, as long as anybody waits for some."""

    def __init__(self, orders: asyncpg.Connection) -> None:
        self._orders = orders
        self._waiting: dict[UUID, asyncio.Future[float]] = {}
        self._anybody = asyncio.Event()

    async def cancelled(self, account: UUID) -> float:
        """When the account was first seen without a NEW order, on the monotonic clock."""
        seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[account] = seen
        self._anybody.set()
        return await seen

    async def look(self) -> None:
        """Until cancelled; what goes wrong is told to whoever waits."""
        while True:
            await self._anybody.wait()
            asked = list(self._waiting)
            try:
                still = {row["account_id"] for row in await self._orders.fetch(_STILL, asked)}
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
                for account in asked:
                    self._end(account, fault)
                raise
            now = time.monotonic()
            for account in asked:
                if account not in still:
                    self._end(account, now)
            if not self._waiting:
                self._anybody.clear()
            await asyncio.sleep(_LOOK_EVERY)

    def _end(self, account: UUID, with_: float | Exception) -> None:
        seen = self._waiting.pop(account)
        if seen.done():
            return  # whoever waited has given up
        if isinstance(with_, Exception):
            seen.set_exception(with_)
        else:
            seen.set_result(with_)


@asynccontextmanager
async def watching(orders: asyncpg.Pool) -> AsyncIterator[Watch]:
    """A watch with a connection of its own, for the length of the block."""
    async with orders.acquire() as connection:
        watch = Watch(connection)
        looking = asyncio.create_task(watch.look())
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
