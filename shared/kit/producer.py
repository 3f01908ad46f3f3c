"""The relay's producer: whole batches in Kafka's transactions, with nothing to account for but the batch.

Producers for single messages keep a future or a place in a queue for each, and repeat what fails. A relay has thousands
at a time, of one transaction, and starts over when any step fails: so the messages for a partition are written into one
batch as Kafka stores it, by aiokafka's compiled writer, sent in one request and acknowledged at once. The protocol is
that of KIP-98, spoken through aiokafka's client: a request of each kind in turn, none of them twice but where Kafka
says that the transaction before is not quite done.

https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    NotCoordinatorError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

Headers = dict[str, str]


class EndUnknownError(Exception):
    """Kafka has a batch, and has not told where."""


#: whatever a producer of this kind fails with: fenced, refused, out of time, without a broker, or not told where
PRODUCER_FAULTS: tuple[type[Exception], ...] = (KafkaError, TimeoutError, EndUnknownError)

_NOT_COORDINATED_YET = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
_OF_ALL_REPLICAS = -1
_FORMAT = 2
_UNCOMPRESSED = 0
#: where the numbers of a partition's messages begin again; what is not numbered so is refused
_NUMBERS = 2**31
#: a batch is a message to Kafka, which takes none above a mebibyte; a single message may have more than this
_BATCH_BYTES = 512 * 1024
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_NO_ERROR = 0
#: what is told of partitions that are fine where another one of the same request is not
_NOT_ATTEMPTED = 55


class _Batch:
    """Messages for one partition, as Kafka stores them."""

    def __init__(self, writer: DefaultRecordBatchBuilder) -> None:
        #: appends a message under its number in the batch; answers None where the batch is full
        self.append = writer.append
        #: gives the batch, to which nothing can be added from then on
        self.written = writer.build
        self.messages = 0


class FencedProducer:
    """A transactional producer whose start fences the one before with the same transactional id (P2).

    It never aborts: whoever fails throws it away, and the next one's start aborts what was left open. So nothing is
    sent by a producer that has failed once, and a fenced one fails at its next step.
    """

    def __init__(self, connecting: Mapping[str, Any], transactional_id: str, transaction_ms: int) -> None:
        #: `connecting` is how aiokafka's clients come to Kafka; nothing is opened before the start
        #: after `transaction_ms` Kafka aborts a transaction that was left open
        self._connecting = connecting
        self._id = transactional_id
        self._transaction_ms = transaction_ms
        self._client: AIOKafkaClient | None = None
        self._coordinator = self._producer_id = self._epoch = -1
        #: how many messages each partition has had
        self._sent: dict[TopicPartition, int] = {}
        self._batches: dict[TopicPartition, list[_Batch]] = {}
        #: the last one of each topic and partition
        self._open: dict[tuple[str, int], _Batch] = {}
        self._at = 0
        self._ends: dict[TopicPartition, int] = {}

    async def start(self, seconds: float = 30.0) -> None:
        """Fence the predecessor and abort what it left open; raises one of PRODUCER_FAULTS."""
        async with asyncio.timeout(seconds):
            self._client = AIOKafkaClient(**self._connecting)
            await self._client.bootstrap()
            if self._client.get_random_node() is None:
                raise NodeNotReadyError
            pause = _FIRST_PAUSE
            while not await self._has_fenced():
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def begin(self) -> None:
        """Begin a batch."""
        self._batches, self._open, self._ends = {}, {}, {}
        self._at = time.time_ns() // 1_000_000

    def send(self, topic: str, partition: int, key: str, value: bytes, headers: Headers) -> None:
        """Put a message into the batch, behind those that its partition has in it."""
        where, raw_key = (topic, partition), key.encode()
        raw_headers = [(name, text.encode()) for name, text in headers.items()]
        batch = self._open.get(where)
        if batch is None or batch.append(batch.messages, self._at, raw_key, value, raw_headers) is None:
            batch = self._open[where] = self._next_batch(TopicPartition(topic, partition))
            batch.append(0, self._at, raw_key, value, raw_headers)
        batch.messages += 1

    async def delivered(self, seconds: float) -> None:
        """Send the batch and wait until the brokers have it, where nobody can read it yet.

        Raises one of PRODUCER_FAULTS, as where a single message of it is refused.
        """
        async with asyncio.timeout(seconds):
            leaders = await self._leaders(self._batches)
            await self._coordinated(
                AddPartitionsToTxnRequest(self._id, self._producer_id, self._epoch, _by_topic(self._batches)),
                lambda answer: [code for _, partitions in answer.errors for _, code in partitions],
            )
            # Of one partition a batch waits for the one before: Kafka takes their messages in the order of their
            # numbers.
            for turn in zip_longest(*self._batches.values()):
                await self._produce(
                    leaders, {where: each for where, each in zip(self._batches, turn, strict=True) if each is not None}
                )

    def ends(self) -> Mapping[TopicPartition, int]:
        """Where the delivered batch ends: one past the offset of the last message on each partition.

        Raises EndUnknownError where Kafka has not told it of every partition: it must not count as readable.
        """
        if self._ends.keys() != self._batches.keys():
            raise EndUnknownError
        return self._ends

    async def commit(self, seconds: float) -> None:
        """Let the batch be read; raises one of PRODUCER_FAULTS, as where this producer is fenced."""
        async with asyncio.timeout(seconds):
            await self._coordinated(
                EndTxnRequest(self._id, self._producer_id, self._epoch, transaction_result=True),
                lambda answer: [answer.error_code],
            )

    async def close(self) -> None:
        """Give up at once whatever is under way; nothing is sent by this producer once it has returned."""
        client, self._client = self._client, None
        if client is None:
            return
        for connection in client._conns.values():  # noqa: SLF001 -- closing would first send what is still to be sent
            if connection._writer is not None:  # noqa: SLF001 -- the same
                connection._writer.transport.abort()  # noqa: SLF001 -- the same
        await client.close()

    @property
    def _started(self) -> AIOKafkaClient:
        if self._client is None:
            raise NodeNotReadyError
        return self._client

    def _next_batch(self, where: TopicPartition) -> _Batch:
        batches = self._batches.setdefault(where, [])
        number = self._sent.get(where, 0) + sum(each.messages for each in batches)
        writer = DefaultRecordBatchBuilder(
            _FORMAT, _UNCOMPRESSED, 1, self._producer_id, self._epoch, number % _NUMBERS, _BATCH_BYTES
        )
        batches.append(_Batch(writer))
        return batches[-1]

    async def _has_fenced(self) -> bool:
        """Become the producer of this id; False while no broker coordinates it yet, as when Kafka has just begun."""
        try:
            self._coordinator = await self._started.coordinator_lookup(CoordinationType.TRANSACTION, self._id)
            made = await self._coordinated(
                InitProducerIdRequest(self._id, self._transaction_ms), lambda answer: [answer.error_code]
            )
        except _NOT_COORDINATED_YET:
            return False
        self._producer_id, self._epoch = made.producer_id, made.producer_epoch
        return True

    async def _leaders(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The brokers that lead these; raises LeaderNotAvailableError where one is not known."""
        client = self._started
        topics = {where.topic for where in partitions}
        await client.set_topics(topics | client._topics)  # noqa: SLF001 -- those that it has been told before
        leaders = {where: client.cluster.leader_for_partition(where) for where in partitions}
        if any(leader is None or leader < 0 for leader in leaders.values()):
            raise LeaderNotAvailableError
        return leaders

    async def _coordinated(self, request: Any, codes: Callable[[Any], list[int]]) -> Any:  # noqa: ANN401 -- aiokafka's
        """Ask the coordinator; again where it is still ending a transaction of this id. Raises KafkaError."""
        pause = _FIRST_PAUSE
        while True:
            answer = await self._started.send(self._coordinator, request, group=ConnectionGroup.COORDINATION)
            wrong = set(codes(answer)) - {_NO_ERROR, _NOT_ATTEMPTED}
            if not wrong:
                return answer
            if wrong != {ConcurrentTransactions.errno}:
                raise for_code((wrong - {ConcurrentTransactions.errno}).pop())
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _produce(self, leaders: Mapping[TopicPartition, int], batches: Mapping[TopicPartition, _Batch]) -> None:
        """Send one batch of each partition, and note where they stand."""
        shares = defaultdict[int, dict[str, list[tuple[int, bytes]]]](lambda: defaultdict(list))
        for where, batch in batches.items():
            shares[leaders[where]][where.topic].append((where.partition, bytes(batch.written())))
        requests = [
            self._started.send(
                leader, ProduceRequest(self._id, _OF_ALL_REPLICAS, self._transaction_ms, list(share.items()))
            )
            for leader, share in shares.items()
        ]
        for answer in await _all_of(requests):
            for topic, partitions in answer.topics:
                for partition, code, offset, *_ in partitions:
                    self._note(TopicPartition(topic, partition), code, offset, batches)

    def _note(self, where: TopicPartition, code: int, offset: int, batches: Mapping[TopicPartition, _Batch]) -> None:
        if code != _NO_ERROR:
            raise for_code(code)(f"{where.topic}/{where.partition}")
        self._sent[where] = self._sent.get(where, 0) + batches[where].messages
        if offset < 0:
            raise EndUnknownError
        self._ends[where] = offset + batches[where].messages


def _by_topic(partitions: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    topics = defaultdict[str, list[int]](list)
    for where in partitions:
        topics[where.topic].append(where.partition)
    return list(topics.items())


async def _all_of(requests: Iterable[Awaitable[Any]]) -> list[Any]:
    """The answers to all of them; raises the first fault once every one has ended."""
    answers = await asyncio.gather(*requests, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
