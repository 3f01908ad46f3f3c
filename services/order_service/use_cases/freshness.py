"""Nothing is refused on a copy before the copy has come as far as Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from shared.kit.barrier import ReadBarrier
from shared.kit.unit_of_work import Database

from ..domain import RESTING_ON_THE_COPY
from ..storage import accounts

T = TypeVar("T")

#: So many keys stand in every partition, as good as surely; hashing more would take longer than waiting for all.
_MANY = 200
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1


@dataclass(frozen=True)
class Copies:
    """How new the copies are; to be asked outside of transactions only, since asking waits for Kafka."""

    database: Database
    barrier: ReadBarrier
    #: seconds to wait for the copies before a decision is put off
    barrier_wait: float = 5.0
    #: seconds to wait for a configuration version that a caller names and that is not known yet
    version_wait: float = 2.0

    async def caught_up(self, account_ids: Iterable[UUID] | None, versions: Mapping[UUID, int]) -> None:
        """Return once the copies of the accounts (None: of all) are as new as Kafka was at the call.

        Then wait a moment for configuration versions that are named; they may not be heard of even so, since an owner
        that has only just committed has not published yet. Raises BarrierNotPassedError.
        """
        await self.barrier.wait(_keys_of(account_ids), seconds=self.barrier_wait)
        await self._heard_of(versions)

    async def decided(
        self,
        decide: Callable[[], Awaitable[T]],
        account_ids: Iterable[UUID] | None,
        versions: Mapping[UUID, int],
    ) -> T:
        """Decide; once more with copies that have caught up, if it was refused for something that rests on them.

        Raises what the last decision raises, and BarrierNotPassedError.
        """
        try:
            return await decide()
        except RESTING_ON_THE_COPY:
            await self.caught_up(account_ids, versions)
        return await decide()

    async def _heard_of(self, versions: Mapping[UUID, int]) -> None:
        if not versions:
            return
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self.version_wait, _FIRST_PAUSE
        while not await self._known(versions) and loop.time() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _known(self, versions: Mapping[UUID, int]) -> bool:
        async with self.database.reading() as connection:
            return await accounts.known(connection, versions)


def _keys_of(account_ids: Iterable[UUID] | None) -> list[str] | None:
    """The keys to wait for; None for all of them."""
    if account_ids is None:
        return None
    keys = [str(account_id) for account_id in account_ids]
    return keys if len(keys) < _MANY else None
