"""FastStream's end of the consumers: one batch subscriber per group, at least once, reading committed messages only.

Two things are added to what FastStream brings. Its batch loop sleeps after every empty poll, which costs latency or
processor time; our client waits for records inside the poll instead. And a member that does not find its place in the
group again, or whose fetching has failed, begins anew.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from .batch_consumer import BatchConsumer
from .consuming import Consumer
from .consumption import Consumption
from .kafka import Kafka
from .liveness import Liveness
from .projections import SetBackError

#: how many records a batch has at most
BATCH = 500
#: how often an idle consumer comes round; it is woken at once by records
_WAIT_MS = 1000
#: after how long without an answer the client's fetching comes round by itself: a little later than the answer to a
#: fetch that found nothing, which makes it come round too
_FETCHING_TURNS_MS = 1500
#: how long a batch may take before its consumer counts as hanging, in seconds; below the poll interval
_HANGS_AFTER = 120.0
_POLL_INTERVAL_MS = 300_000
_HEARTBEATS_PER_SESSION = 3
#: how long a member may be without its place in the group before its consumer begins anew, in seconds; a group that
#: is divided anew waits this long for nobody, since whoever is silent for a session is left out
_MAY_BE_WITHOUT_PLACE = 30.0
_LOOKS_AT_A_PLACE = 10
_MINDING = "members of groups"

_log = structlog.get_logger("bus")


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
    """A FastStream broker whose subscribers read with our client, which comes to Kafka as `kafka` says."""

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(
            kafka.bootstrap.split(","),
            client_id=kafka.client_id,
            allow_auto_create_topics=False,
            consumer_only=True,
            apply_types=False,
            graceful_timeout=20.0,
            logger=None,
        )
        self._security = kafka.security.for_aiokafka

    async def _connect(self) -> Callable[..., AIOKafkaConsumer]:
        await super()._connect()
        settings = self.config.broker_config
        options: partial[AIOKafkaConsumer] = settings.builder  # type: ignore[assignment]  # it is declared as any callable
        settings.builder = partial(BatchConsumer, *options.args, **options.keywords, **self._security)
        return settings.builder


class Bus:
    """The running consumers of one process."""

    def __init__(
        self,
        kafka: Kafka,
        liveness: Liveness,
        *,
        session_seconds: float = 6.0,
        may_be_without_place: float = _MAY_BE_WITHOUT_PLACE,
    ) -> None:
        #: `session_seconds`: how long the group waits for a member that does not answer before it divides its share
        #: `may_be_without_place`: after how many seconds without a place in its group a consumer begins anew
        self._kafka = kafka
        self._liveness = liveness
        self._session_ms = int(session_seconds * 1000)
        self._broker = _Broker(kafka)
        self._attached: list[tuple[Consumer, Any]] = []
        self._may_be_without_place = may_be_without_place
        self._minding: asyncio.Task[None] | None = None
        #: what keeps the consumers from starting, until they have; `problem` tells it
        self.waits_for: str | None = None
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
            consumer_timeout_ms=_FETCHING_TURNS_MS,
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
                try:
                    await consumer.take(records, client.positions(touched))
                except SetBackError as fault:
                    client.begin_where_the_effects_end(fault)
                    raise

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
        self.waits_for = None
        self._minding = asyncio.create_task(self._mind(), name=_MINDING)
        self._liveness.watch(_MINDING, self._minding)

    async def _join(self) -> None:
        await self._broker.connect()
        for consumer, subscriber in self._attached:
            await self._begin(consumer, subscriber)

    async def _begin(self, consumer: Consumer, subscriber: Any) -> None:  # noqa: ANN401 -- FastStream's
        await subscriber.start()
        client: BatchConsumer = subscriber.consumer
        client.beat = self._liveness.loop(consumer.subscriber.group, hangs_after=_HANGS_AFTER)
        client.logical = self._kafka.logical
        client.applied = consumer.applied
        client.idle = consumer.idle
        for task in subscriber.tasks:
            self._liveness.watch(consumer.subscriber.group, task)

    async def _mind(self) -> None:
        """Begin anew with a consumer that does not find its place in the group again, or fetches nothing any more."""
        while True:
            await asyncio.sleep(self._may_be_without_place / _LOOKS_AT_A_PLACE)
            for consumer, subscriber in self._attached:
                client: BatchConsumer | None = subscriber.consumer
                if client is None or not client.fetches or client.without_place > self._may_be_without_place:
                    await self._begin_anew(consumer, subscriber)

    async def _begin_anew(self, consumer: Consumer, subscriber: Any) -> None:  # noqa: ANN401 -- FastStream's
        group = consumer.subscriber.group
        _log.error("a consumer has lost its place in its group, or fetches no more, and begins anew", group=group)
        self._liveness.forget(group)
        try:
            await subscriber.stop()
            await self._begin(consumer, subscriber)
        except KafkaError as fault:
            _log.warning("a consumer could not begin anew yet", group=group, fault=repr(fault))
            subscriber.consumer = None
            # Nobody beats: liveness names it if it does not come to be.
            self._liveness.loop(group, hangs_after=_HANGS_AFTER)

    async def stop(self) -> None:
        """Take nothing new, let the batches in hand end, leave the groups."""
        if self._minding is not None:
            self._liveness.forget(_MINDING)
            self._minding.cancel()
            await asyncio.gather(self._minding, return_exceptions=True)
        for consumer, _ in self._attached:
            self._liveness.forget(consumer.subscriber.group)
        await self._broker.stop()
        for consumer, _ in self._attached:
            await consumer.parking.close()

    async def problem(self) -> str | None:
        """Why the consumers are not ready: not started, not joined yet, stopped over records; None when they are."""
        if self._attached and self.waits_for:
            return f"consumers are not started: {self.waits_for}"
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
