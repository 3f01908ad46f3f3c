"""The read barrier: before deciding on a copy, let the copy apply everything that was readable when we were asked.

The partitions are computed from the keys and never taken from where a message arrived: an upstream's producer may
partition differently. What the barrier compares is the last stable offset of those partitions with the positions that
the keeper of the copies has stored in the transactions that applied them.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from aiokafka import TopicPartition
from prometheus_client import Metric

from shared.contracts import Topic, partition_of

from .kafka import Kafka
from .metrics import BARRIER_SECONDS
from .projections import Positions, applied
from .stable_offsets import StableOffsets
from .unit_of_work import Database

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05

#: where the topics end, and how far the keeper has come
Look = tuple[Positions, Positions]


class BarrierNotPassedError(TimeoutError):
    """The copies have not come far enough in time; nothing may be decided on them."""


class ReadBarrier:
    """Waits until one keeper of copies has come as far as Kafka had when the wait began."""

    def __init__(
        self,
        kafka: Kafka,
        database: Database,
        keeper: str,
        topics: Sequence[Topic],
        partitions: int,
        *,
        whole: Sequence[Topic] = (),
    ) -> None:
        #: `keeper` is the consumer group whose applied positions count; `topics` are those its copies are made from.
        #: Those of them in `whole` are waited for in all their partitions, since they have keys of another kind: which
        #: of these a decision rests on may change with what is applied meanwhile. That costs nothing while they are
        #: quiet: a partition without news has been passed.
        self._kafka = kafka
        self._database = database
        self._keeper = keeper
        self._topics = topics
        self._partitions = partitions
        self._whole = {topic.name for topic in whole}
        self._stable = StableOffsets(kafka)
        self._asking: asyncio.Task[Look] | None = None
        self._next: asyncio.Task[Look] | None = None
        self._waits = BARRIER_SECONDS.histogram()

    async def wait(self, keys: Iterable[str] | None, *, seconds: float = 5.0) -> None:
        """Return once the copies of `keys` (None: of all there are) are as new as Kafka was at the call.

        Raises BarrierNotPassedError.
        """
        everywhere = range(self._partitions)
        wanted = set(everywhere if keys is None else (partition_of(key, self._partitions) for key in keys))
        if not wanted:
            return
        try:
            with self._timed():
                async with asyncio.timeout(seconds):
                    ends, known = await self._look()
                    targets = {(t, p): end for (t, p), end in ends.items() if p in wanted or t in self._whole}
                    await self._until(targets, known)
        except TimeoutError as late:
            raise BarrierNotPassedError(self._keeper) from late

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began, outcome = time.perf_counter(), "failed"
        try:
            yield
            outcome = "passed"
        except TimeoutError:
            outcome = "late"
            raise
        finally:
            self._waits.labels(self._keeper, outcome).observe(time.perf_counter() - began)

    def collect(self) -> Iterable[Metric]:
        """The waits so far."""
        return self._waits.collect()

    async def close(self) -> None:
        """Give the connection back."""
        asking = [task for task in (self._asking, self._next) if task is not None]
        for task in asking:
            task.cancel()
        # They may hold a connection of the database's, which is closed after us.
        await asyncio.gather(*asking, return_exceptions=True)
        await self._stable.close()

    async def _look(self) -> Look:
        """What `_ask` answers, asked after this call began; callers that wait together share one request."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._asking))
        return await asyncio.shield(self._next)

    async def _ask_after(self, current: asyncio.Task[Look] | None) -> Look:
        if current is not None:
            await asyncio.wait([current])
        self._asking, self._next = self._next, None
        return await self._ask()

    async def _ask(self) -> Look:
        """The last stable offsets, and how far the keeper has come."""
        partitions = [
            TopicPartition(self._kafka.physical(topic.name), number)
            for topic in self._topics
            for number in range(self._partitions)
        ]
        ends = await self._stable.of(partitions)
        return {(self._kafka.logical(tp.topic), tp.partition): end for tp, end in ends.items()}, await self._applied()

    async def _applied(self) -> Positions:
        # Asked each time: a database that was set back has forgotten what it had told.
        async with self._database.reading() as connection:
            return await applied(connection, self._keeper)

    async def _until(self, targets: Positions, known: Positions) -> None:
        pause = _FIRST_PAUSE
        while any(known.get(where, 0) < end for where, end in targets.items()):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            known = await self._applied()
