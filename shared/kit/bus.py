"""FastStream's end of the consumers: one batch subscriber per group, at least once, reading committed messages only.

Two things are added to what FastStream brings. Its batch loop sleeps after every empty poll, which costs latency or
processor time; our client waits for records inside the poll instead. And a position that lies before the log's start
is never skipped in silence: such a consumer takes nothing more and is reported (P7).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from .consuming import Consumer
from .consumption import Consumption
from .kafka import Kafka
from .lag import Progress
from .liveness import Liveness
from .projections import Positions

#: how many records a batch has at most
BATCH = 500
_PROBE_MS = 300
#: how often an idle consumer comes round; it is woken at once by records
_WAIT_MS = 1000
#: how long a batch may take before its consumer counts as hanging, in seconds; below the poll interval
_HANGS_AFTER = 120.0
_POLL_INTERVAL_MS = 300_000
_HEARTBEATS_PER_SESSION = 3

#: how aiokafka fails on a record that it cannot unpack: a header's name that is no text, a codec, a checksum
UNPACKABLE: tuple[type[Exception], ...] = (UnicodeDecodeError, UnsupportedCodecError, CorruptRecordException)

_log = structlog.get_logger("bus")

Fetched = dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]
Idle = Callable[[Positions], Awaitable[None]]


class BatchConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka ships no types
    """An aiokafka consumer whose `getmany` answers when there is something, and tells what it saw meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- aiokafka's own
        super().__init__(*args, **kwargs)
        #: where the next record stands after what was handed out last
        self._handed_out: dict[TopicPartition, int] = {}
        #: partitions whose log does not reach back to where we stood: nothing is taken any more
        self.lost: dict[TopicPartition, str] = {}
        #: partitions that stand before a record that aiokafka cannot unpack: the others go on
        self.blocked: dict[TopicPartition, str] = {}
        #: what is not done of what was handed out, for whoever measures the lag
        self.progress = Progress()
        self.beat: Callable[[], None] = lambda: None
        self.idle: Idle | None = None
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
            if self.idle is not None and not self.lost:
                await self.idle(await self.positions(self.assignment()))

    async def _fetched(
        self, partitions: tuple[TopicPartition, ...], timeout_ms: int, max_records: int | None
    ) -> Fetched:
        try:
            # Pausing a partition does not keep back what was fetched of it before.
            healthy = (self.assignment() - self.blocked.keys()) if self.blocked else partitions
            fetched: Fetched = await super().getmany(*healthy, timeout_ms=timeout_ms, max_records=max_records)
        except UNPACKABLE as fault:
            await self._block_unpackable(fault)
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
            self._handed_out |= {tp: await self.position(tp) for tp in fetched.keys() & self.assignment()}
            self.progress.took(self, fetched)
            return fetched
        return {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Stand there; a batch that failed is handed out again, so it counts as not handed out."""
        super().seek(partition, offset)
        self._handed_out[partition] = offset

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

    async def positions(self, partitions: Iterable[TopicPartition]) -> Positions:
        """The offsets of the next records of those of `partitions` that are still ours and stand somewhere."""
        # `position` would wait for the others; but where nothing is stored for the group it is the next `getmany`
        # that says so, and it would never come: on a busy machine that answer takes longer than a wait for records.
        states = self._subscription.subscription.assignment
        mine = {tp for tp in self.assignment() if states.state_value(tp).has_valid_position}
        return {(self.logical(tp.topic), tp.partition): await self.position(tp) for tp in partitions if tp in mine}

    async def _block_unpackable(self, fault: Exception) -> None:
        """Find the partitions that cannot be unpacked and leave them where they stand; nothing is skipped."""
        await self._rewind()
        for tp in self.assignment() - self.blocked.keys():
            try:
                await super().getmany(tp, timeout_ms=_PROBE_MS)
            except UNPACKABLE:
                where = f"{tp.topic}/{tp.partition} at {self._handed_out.get(tp, 'its stored position')}"
                self.blocked[tp] = f"{where}: the client cannot unpack the next record and cannot get past it"
                _log.critical("a record cannot be unpacked", where=self.blocked[tp], fault=repr(fault))
        await self._rewind()
        self.pause(*(self.blocked.keys() & self.assignment()))

    async def _rewind(self) -> None:
        """Stand where we stood after what was handed out last, whatever aiokafka has unpacked since."""
        await self._stand(await self._stood())

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These are another member's now; when they come back, what is stored counts."""
        for tp in partitions:
            self._handed_out.pop(tp, None)
            self.progress.forget(tp)


class _Forgetting(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Tells the client which partitions it loses."""

    def __init__(self, client: Callable[[], BatchConsumer | None]) -> None:
        self._client = client

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        client = self._client()
        if client is not None:
            client.forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing: positions are taken from what is stored."""


class _Broker(KafkaBroker):
    """A FastStream broker whose subscribers read with our client."""

    async def _connect(self) -> Callable[..., AIOKafkaConsumer]:
        await super()._connect()
        settings = self.config.broker_config
        options: partial[AIOKafkaConsumer] = settings.builder  # type: ignore[assignment]  # it is declared as any callable
        settings.builder = partial(BatchConsumer, *options.args, **options.keywords)
        return settings.builder


class Bus:
    """The running consumers of one process."""

    def __init__(self, kafka: Kafka, liveness: Liveness, *, session_seconds: float = 6.0) -> None:
        #: `session_seconds`: how long the group waits for a member that does not answer before it divides its share
        self._kafka = kafka
        self._liveness = liveness
        self._session_ms = int(session_seconds * 1000)
        self._broker = _Broker(
            kafka.bootstrap.split(","),
            client_id=kafka.client_id,
            allow_auto_create_topics=False,
            consumer_only=True,
            apply_types=False,
            graceful_timeout=20.0,
            logger=None,
        )
        self._attached: list[tuple[Consumer, Any]] = []
        self.consumption = Consumption(kafka.logical)

    def attach(self, consumer: Consumer) -> None:
        """Let `consumer` take its group's batches once the bus has started."""
        group = consumer.subscriber.group
        subscriber: Any = self._broker.subscriber(
            *[self._kafka.physical(topic.name) for topic in consumer.subscriber.all_topics],
            group_id=self._kafka.physical(group),
            batch=True,
            max_records=BATCH,
            batch_timeout_ms=_WAIT_MS,
            fetch_max_wait_ms=_WAIT_MS,
            consumer_timeout_ms=_WAIT_MS,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // _HEARTBEATS_PER_SESSION,
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            listener=_Forgetting(lambda: subscriber.consumer),
            parser=partial(_unparsed, lambda: subscriber.consumer),
            decoder=_undecoded,
        )

        async def take(records: tuple["ConsumerRecord[bytes, bytes]", ...]) -> None:
            client: BatchConsumer = subscriber.consumer
            touched = {TopicPartition(record.topic, record.partition) for record in records}
            with self.consumption.batch(group, len(records)):
                await consumer.take(records, await client.positions(touched))

        subscriber(take)
        self._attached.append((consumer, subscriber))
        self.consumption.add(consumer, lambda: subscriber.consumer)

    async def start(self) -> None:
        """Join the groups and begin to take batches; raises KafkaError, and may be called again then."""
        try:
            await self._join()
        except BaseException:
            # Those that had joined would be started a second time, and the first ones never stopped.
            await self._broker.stop()
            raise

    async def _join(self) -> None:
        await self._broker.connect()
        for consumer, subscriber in self._attached:
            await subscriber.start()
            client: BatchConsumer = subscriber.consumer
            client.beat = self._liveness.loop(consumer.subscriber.group, hangs_after=_HANGS_AFTER)
            client.logical = self._kafka.logical
            client.idle = consumer.idle if consumer.subscriber.keeps_copies else None
            for task in subscriber.tasks:
                self._liveness.watch(consumer.subscriber.group, task)

    async def stop(self) -> None:
        """Take nothing new, let the batches in hand end, leave the groups."""
        for consumer, _ in self._attached:
            self._liveness.forget(consumer.subscriber.group)
        await self._broker.stop()
        for consumer, _ in self._attached:
            await consumer.parking.close()

    async def problem(self) -> str | None:
        """Why the consumers are not ready: not joined yet, or stopped over records; None when they are."""
        found = []
        for consumer, subscriber in self._attached:
            client: BatchConsumer | None = subscriber.consumer
            # A member without partitions is ready as well: there may be more replicas than partitions.
            if client is None or not client.joined:
                found.append(f"{consumer.subscriber.group} has not joined its group")
            else:
                found.extend([*client.lost.values(), *client.blocked.values()])
        return "; ".join(found) or None


async def _unparsed(client: Callable[[], BatchConsumer], records: tuple[Any, ...]) -> KafkaAckableMessage:
    """Hand the raw records on: FastStream's own parser fails for ever on headers that are not UTF-8."""
    return KafkaAckableMessage(body=b"", headers={}, raw_message=records, consumer=client())


async def _undecoded(message: KafkaAckableMessage) -> object:
    return message.raw_message
