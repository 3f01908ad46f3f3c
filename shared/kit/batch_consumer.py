"""Our Kafka client: an aiokafka consumer that waits inside the poll, skips nothing in silence, and ends when told.

A position that lies before the log's start is never skipped: such a consumer takes nothing more and is reported (P7).
Kafka's offsets say where a group stands, unless the database in which its effects are has less of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)

from .faults import INFRASTRUCTURE
from .lag import Progress
from .membership import Membership, tasks_of
from .projections import Positions, SetBackError

_PROBE_MS = 300
#: how many records are looked at for one that cannot be unpacked, where nobody says how many were asked for
_PROBED_AT_MOST = 500
#: how long a client may take to leave its group before it is closed by force, in seconds
_LEAVES_WITHIN = 5.0
#: after how many seconds a database that is away is asked again
_ASKS_AGAIN_AFTER = 1.0

#: how aiokafka fails on a record that it cannot unpack: a header's name that is no text, a codec, a checksum
UNPACKABLE: tuple[type[Exception], ...] = (UnicodeDecodeError, UnsupportedCodecError, CorruptRecordException)

_log = structlog.get_logger("bus")

Fetched = dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]
Idle = Callable[[Positions], Awaitable[None]]
Applied = Callable[[], Awaitable[Positions]]


class BatchConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka ships no types
    """An aiokafka consumer whose `getmany` answers when there is something, and tells what it saw meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- aiokafka's own
        super().__init__(*args, **kwargs)
        #: where the next record stands after what was handed out last
        self._handed_out: dict[TopicPartition, int] = {}
        self._membership = Membership()
        #: partitions whose log does not reach back to where we stood: nothing is taken any more
        self.lost: dict[TopicPartition, str] = {}
        #: partitions that stand before a record that aiokafka cannot unpack: the others go on
        self.blocked: dict[TopicPartition, str] = {}
        #: partitions with such a record further on, and how many records can still be taken before it
        self._before_it: dict[TopicPartition, int] = {}
        #: what is not done of what was handed out, for whoever measures the lag
        self.progress = Progress()
        self.beat: Callable[[], None] = lambda: None
        self.idle: Idle | None = None
        #: how far the effects go that are kept, where the group has any; a partition that comes to us begins there
        self.applied: Applied | None = None
        #: the partitions whose place was held against that; None when everything has to be
        self._placed: set[TopicPartition] | None = None
        #: how often partitions were taken from us, so that what is asked meanwhile is not taken for an answer
        self._divided = 0
        self.logical: Callable[[str], str] = str

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> Fetched:
        """Wait for records; between the waits, report positions that moved without any."""
        self.progress.settle(self, self._handed_out)
        while True:
            fetched = await self._fetched(partitions, timeout_ms, max_records)
            self.beat()
            if fetched and not self.lost:
                return fetched
            if not self.lost:
                await self._idle()

    async def _idle(self) -> None:
        # Where a partition stands that is not in its place yet is Kafka's word, and nothing to be stored.
        mine = self.assignment() if self.applied is None else self._placed
        if self.idle is None or mine is None:
            return
        try:
            await self.idle(self.positions(mine))
        except SetBackError as fault:
            self.begin_where_the_effects_end(fault)

    async def _fetched(
        self, partitions: tuple[TopicPartition, ...], timeout_ms: int, max_records: int | None
    ) -> Fetched:
        try:
            if not await self._in_place():
                return {}
            fetched = await self._polled(partitions, timeout_ms, max_records)
        except UNPACKABLE as fault:
            await self._block_unpackable(fault, max_records or _PROBED_AT_MOST)
        except NoOffsetForPartitionError:
            await self._begin_where_nothing_is_stored()
        except OffsetOutOfRangeError as fault:
            self._note_lost(fault)
        except KafkaError:
            raise
        except Exception:
            # What was unpacked before the fault is seen by nobody: the next commit must not pass over it.
            await self._rewind()
            raise
        else:
            if self.applied is not None and not fetched.keys() <= (self._placed or set()):
                # They came to us during the poll: what they were read from is Kafka's word alone.
                await self._rewind()
                return {}
            self._handed_out |= {tp: await self.position(tp) for tp in fetched.keys() & self.assignment()}
            self.progress.took(self, fetched)
            return fetched
        return {}

    async def _polled(self, partitions: Iterable[TopicPartition], timeout_ms: int, max_records: int | None) -> Fetched:
        if self._before_it:
            where, before_it = self._before_it.popitem()
            if where in self.assignment():
                return await super().getmany(where, timeout_ms=timeout_ms, max_records=before_it)  # type: ignore[no-any-return]  # aiokafka ships no types
        # Pausing a partition does not keep back what was fetched of it before.
        chosen = (self.assignment() - self.blocked.keys()) if self.blocked else partitions
        return await super().getmany(*chosen, timeout_ms=timeout_ms, max_records=max_records)  # type: ignore[no-any-return]  # aiokafka ships no types

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Stand there; a batch that failed is handed out again, so it counts as not handed out."""
        super().seek(partition, offset)
        self._handed_out[partition] = offset

    async def stop(self) -> None:
        """Leave the group; by force where aiokafka hangs or the broker does not answer."""
        try:
            async with asyncio.timeout(_LEAVES_WITHIN):
                await super().stop()
        except (TimeoutError, KafkaError) as fault:
            _log.warning("a consumer is closed by force", group=self._group_id, fault=repr(fault))
            for task in tasks_of(self._coordinator):
                task.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEAVES_WITHIN):
                    # What its fetching has ended with comes up here once more.
                    with suppress(KafkaError):
                        await self._fetcher.close()
                    await self._client.close()

    def begin_where_the_effects_end(self, because: SetBackError) -> None:
        """The database was set back: before anything more is taken, every partition is held against it again."""
        _log.error("the database was set back: it is told again", group=self._group_id, what=str(because))
        self._placed = None

    async def _in_place(self) -> bool:
        """Stand where the kept effects end, with every partition that has come to us; False while they are away."""
        placed = self._placed or set()
        if self.applied is None or (self._placed is not None and self.assignment() <= placed):
            return True
        divided = self._divided
        try:
            applied = await self.applied()
        except INFRASTRUCTURE as fault:
            _log.warning("a group waits for its database", group=self._group_id, fault=repr(fault))
            await asyncio.sleep(_ASKS_AGAIN_AFTER)
            return False
        stood = {tp: at for tp, at in (await self._stood()).items() if tp not in placed and at is not None}
        # Of some, nothing was ever applied: they begin with the first record that there is, as for a new group.
        first = await self.beginning_offsets(sorted(stood))
        if self._divided != divided:
            return False
        for tp, at in stood.items():
            end = applied.get((self.logical(tp.topic), tp.partition), first[tp])
            if end < at:
                _log.info("begins where its effects end", where=f"{tp.topic}/{tp.partition}", at=end, instead_of=at)
                self.seek(tp, end)
        self._placed = set(self.assignment())
        return True

    async def _begin_where_nothing_is_stored(self) -> None:
        """The group is new to these partitions: it begins with whatever there is."""
        await self._stand({tp: at for tp, at in (await self._stood()).items() if at is None})

    async def _stood(self) -> dict[TopicPartition, int | None]:
        """Where each partition stands after what was handed out last, else what is stored; None where nothing is."""
        mine = sorted(self.assignment())
        stored = await asyncio.gather(*(self.committed(tp) for tp in mine))
        return {tp: self._handed_out.get(tp, at) for tp, at in zip(mine, stored, strict=True)}

    async def _stand(self, positions: Mapping[TopicPartition, int | None]) -> None:
        for tp, at in positions.items():
            if at is not None:
                self.seek(tp, at)
        # All in one call: each call waits for the fetch that is under way, which may be a long poll.
        if beginning := [tp for tp, at in positions.items() if at is None]:
            await self.seek_to_beginning(*beginning)

    def _note_lost(self, fault: OffsetOutOfRangeError) -> None:
        """The log does not reach back to the stored position: records were deleted before they were read."""
        for tp, offset in fault.args[0].items():
            self.lost[tp] = f"the records of {tp.topic}/{tp.partition} behind the stored position {offset} are gone"
            _log.critical("records were deleted before they were read", where=self.lost[tp])

    @property
    def joined(self) -> bool:
        """Whether the group has this member; it may have no partitions."""
        return self._coordinator is not None and self._coordinator.generation >= 0

    @property
    def fetches(self) -> bool:
        """Whether records are asked for: where a fault of aiokafka's own has ended that, it tells nobody."""
        return self._fetcher is None or not self._fetcher.error_future.done()

    @property
    def without_place(self) -> float:
        """For how many seconds, of those it was asked in, this client has been without its place in the group."""
        return self._membership.without_place(self._coordinator)

    def positions(self, partitions: Iterable[TopicPartition]) -> Positions:
        """The offsets of the next records of those of `partitions` that are still ours and stand somewhere."""
        # `position` would wait for the others; but where nothing is stored for the group it is the next `getmany`
        # that says so, and it would never come: on a busy machine that answer takes longer than a wait for records.
        mine = self.assignment()
        states = {tp: self._subscription.subscription.assignment.state_value(tp) for tp in partitions if tp in mine}
        return {
            (self.logical(tp.topic), tp.partition): state.position
            for tp, state in states.items()
            if state.has_valid_position
        }

    async def _block_unpackable(self, fault: Exception, most: int) -> None:
        """Find the partitions with a record that cannot be unpacked: what stands before it is taken, nothing skipped.

        The fault came within `most` records.
        """
        await self._rewind()
        for tp in self.assignment() - self.blocked.keys():
            before_it = await self._records_before_a_fault(tp, most)
            if before_it:
                self._before_it[tp] = before_it
            elif before_it == 0:
                where = f"{tp.topic}/{tp.partition} at {await self.position(tp)}"
                self.blocked[tp] = f"{where}: the client cannot unpack the next record and cannot get past it"
                _log.critical("a record cannot be unpacked", where=self.blocked[tp], fault=repr(fault))
        await self._rewind()
        self.pause(*(self.blocked.keys() & self.assignment()))

    async def _records_before_a_fault(self, tp: TopicPartition, most: int) -> int | None:
        """How many of the next records can be unpacked before one that cannot; None where there is none so soon."""
        for count in range(most + 1):
            try:
                if not await super().getmany(tp, timeout_ms=_PROBE_MS, max_records=1):
                    return None
            except UNPACKABLE:
                return count
        return None

    async def _rewind(self) -> None:
        """Stand where we stood after what was handed out last, whatever aiokafka has unpacked since."""
        await self._stand(await self._stood())

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These are another member's now; when they come back, what is stored counts."""
        self._divided += 1
        for tp in partitions:
            self._handed_out.pop(tp, None)
            self._before_it.pop(tp, None)
            if self._placed is not None:
                self._placed.discard(tp)
            self.progress.forget(tp)
