"""FastStream's end of the consumers: one batch subscriber per group, at least once, reading committed messages only.

Two things are added to what FastStream brings. Its batch loop sleeps after every empty poll, which costs latency or
processor time; our client waits for records inside the poll instead. And a position that lies before the log's start
is never skipped in silence: such a consumer takes nothing more and is reported (P7).
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from .consuming import Consumer
from .kafka import Kafka
from .liveness import Liveness
from .projections import Positions

_BATCH = 500
_PROBE_MS = 300
#: how often an idle consumer comes round; it is woken at once by records
_WAIT_MS = 1000
#: how long a batch may take before its consumer counts as hanging, in seconds; below the poll interval
_HANGS_AFTER = 120.0
_POLL_INTERVAL_MS = 300_000
_HEARTBEATS_PER_SESSION = 3

_log = structlog.get_logger("bus")

Fetched = dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]
Idle = Callable[[Positions], Awaitable[None]]


class BatchConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka ships no types
    """An aiokafka consumer whose `getmany` answers when there is something, and tells what it saw meanwhile."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- aiokafka's own
        super().__init__(*args, **kwargs)
        self._expected: dict[TopicPartition, int] = {}
        #: partitions whose log begins behind the position that we wanted to read next: nothing is taken any more
        self.lost: dict[TopicPartition, str] = {}
        #: partitions that stand before a record that aiokafka cannot unpack: the others go on
        self.blocked: dict[TopicPartition, str] = {}
        self.beat: Callable[[], None] = lambda: None
        self.idle: Idle | None = None
        self.logical: Callable[[str], str] = str

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> Fetched:
        """Wait for records; between the waits, report positions that moved without any."""
        while True:
            try:
                # Pausing a partition does not keep back what was fetched of it before.
                healthy = (self.assignment() - self.blocked.keys()) if self.blocked else partitions
                fetched: Fetched = await super().getmany(*healthy, timeout_ms=timeout_ms, max_records=max_records)
            except UnicodeDecodeError as fault:
                # aiokafka cannot unpack a header whose name is no UTF-8, nor say where it stands.
                await self._block_unreadable(fault)
                continue
            self.beat()
            if fetched:
                await self._guard(fetched)
            if fetched and not self.lost:
                return fetched
            if self.idle is not None and not self.lost:
                await self.idle(await self.positions(self.assignment()))

    @property
    def joined(self) -> bool:
        """Whether the group has this member; it may have no partitions."""
        return self._coordinator is not None and self._coordinator.generation >= 0

    async def positions(self, partitions: Iterable[TopicPartition]) -> Positions:
        """The offsets of the next records of those of `partitions` that are still ours."""
        mine = self.assignment()
        return {(self.logical(tp.topic), tp.partition): await self.position(tp) for tp in partitions if tp in mine}

    async def _guard(self, fetched: Fetched) -> None:
        try:
            await self._check_log_start(fetched)
        except BaseException:
            # Nobody will see these records now: without going back, the next commit would pass over them.
            for tp in fetched.keys() & self.assignment():
                self.seek(tp, fetched[tp][0].offset)
            raise

    async def _block_unreadable(self, fault: UnicodeDecodeError) -> None:
        """Find the partitions that cannot be unpacked and leave them where they stand; nothing is skipped."""
        await self._rewind()
        waiting = [tp for tp in self.assignment() if tp not in self.blocked]
        for tp in waiting:
            try:
                await super().getmany(tp, timeout_ms=_PROBE_MS)
            except UnicodeDecodeError:
                where = f"{tp.topic}/{tp.partition} at {self._expected.get(tp, 'its committed position')}"
                self.blocked[tp] = f"{where}: a header's name is not UTF-8, and the client cannot get past it"
                _log.critical("a record cannot be unpacked", where=self.blocked[tp], fault=str(fault))
        await self._rewind()
        self.pause(*(self.blocked.keys() & self.assignment()))

    async def _rewind(self) -> None:
        """Stand where we stood after what was handed out last, whatever aiokafka has unpacked since."""
        for tp in self.assignment():
            stood = self._expected.get(tp, await self.committed(tp))
            if stood is None:
                await self.seek_to_beginning(tp)
            else:
                self.seek(tp, stood)

    async def _check_log_start(self, fetched: Fetched) -> None:
        for tp, records in fetched.items():
            # A jump is ordinary (compaction, aborted transactions) unless the log now begins behind where we stood.
            if records[0].offset > self._expected.get(tp, -1):
                await self._compare_with_log_start(tp)
        assigned = self.assignment()
        self._expected = {tp: at for tp, at in self._expected.items() if tp in assigned}
        self._expected |= {tp: await self.position(tp) for tp in fetched if tp in assigned}

    async def _compare_with_log_start(self, tp: TopicPartition) -> None:
        stored = await self.committed(tp)
        if stored is None:
            return  # the group is new here: it begins with whatever there is
        start = (await self.beginning_offsets([tp]))[tp]
        if start > max(stored, self._expected.get(tp, 0)):
            self.lost[tp] = f"{tp.topic}/{tp.partition} begins at {start}, behind the stored position {stored}"
            _log.critical("records were deleted before they were read", where=self.lost[tp])


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

    def attach(self, consumer: Consumer) -> None:
        """Let `consumer` take its group's batches once the bus has started."""
        group = consumer.subscriber.group
        subscriber: Any = self._broker.subscriber(
            *[self._kafka.physical(topic.name) for topic in consumer.subscriber.all_topics],
            group_id=self._kafka.physical(group),
            batch=True,
            max_records=_BATCH,
            batch_timeout_ms=_WAIT_MS,
            fetch_max_wait_ms=_WAIT_MS,
            consumer_timeout_ms=_WAIT_MS,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // _HEARTBEATS_PER_SESSION,
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            parser=partial(_unparsed, lambda: subscriber.consumer),
            decoder=_undecoded,
        )

        async def take(records: tuple["ConsumerRecord[bytes, bytes]", ...]) -> None:
            client: BatchConsumer = subscriber.consumer
            touched = {TopicPartition(record.topic, record.partition) for record in records}
            await consumer.take(records, await client.positions(touched))

        subscriber(take)
        self._attached.append((consumer, subscriber))

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
