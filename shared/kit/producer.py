"""The relay's producer: librdkafka in transactions, off the event loop, and never more than its one batch in memory.

librdkafka sends from threads of its own and costs a fraction of a producer in Python. What blocks (the start, the wait
for acknowledgements, the commit) runs in one thread per producer, in slices, so that a producer that is given up ends
within a slice, whatever the broker does.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from operator import methodcaller
from typing import TypeVar

from aiokafka import TopicPartition
from confluent_kafka import KafkaError, KafkaException, Message, Producer

T = TypeVar("T")

Headers = dict[str, str | bytes | None]

#: how fast a producer that is given up is let go, in seconds
_SLICE = 0.2


class ProducerClosedError(Exception):
    """The producer was given up while it waited."""


class ProducerTimeoutError(Exception):
    """Kafka has not answered in time; what became of the batch is not known."""


class EndUnknownError(Exception):
    """Kafka has a batch, and has not told where."""


#: whatever a producer of this kind fails with: fenced, refused, timed out, full, or not told where a batch stands
PRODUCER_FAULTS: tuple[type[Exception], ...] = (
    KafkaException,
    BufferError,
    ProducerClosedError,
    ProducerTimeoutError,
    EndUnknownError,
)


class FencedProducer:
    """A transactional producer whose start fences the one before with the same transactional id (P2).

    It never aborts: whoever fails throws it away, and the next one's start aborts what was left open. So nothing is
    sent by a producer that has failed once, and a fenced one fails at its next step.
    """

    def __init__(self, configuration: Mapping[str, str | int | bool]) -> None:
        #: `configuration` is librdkafka's; nothing is opened before the start
        self._configuration = dict(configuration)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=str(configuration["transactional.id"]))
        self._closing = False
        self._ends: dict[TopicPartition, int | None] = {}
        self._producer: Producer | None = None

    async def start(self, seconds: float = 30.0) -> None:
        """Fence the predecessor and abort what it left open; raises one of PRODUCER_FAULTS."""
        await self._in_thread(lambda: self._start(time.monotonic() + seconds))

    def begin(self) -> None:
        """Begin a batch."""
        self._ends.clear()
        self._started.begin_transaction()

    def send(self, topic: str, partition: int, key: str, value: bytes, headers: Headers, *, last: bool = False) -> None:
        """Put a message of the batch on its way; of one that is the `last` on its partition `ends` tells the place.

        Raises BufferError where it is more than may be in memory.
        """
        told = None
        if last:
            told, self._ends[TopicPartition(topic, partition)] = self._end, None
        self._started.produce(topic, value, key, partition, headers=headers, on_delivery=told)

    def ends(self) -> Mapping[TopicPartition, int]:
        """Where the delivered batch ends: one past the offset of the `last` message on each partition.

        Raises EndUnknownError, as after a repeated request that Kafka knew already.
        """
        known = {where: end for where, end in self._ends.items() if end is not None}
        if len(known) < len(self._ends):
            raise EndUnknownError
        return known

    async def delivered(self, seconds: float) -> None:
        """Wait until the broker has the batch, which nobody can read yet; the commit tells what was refused."""
        await self._in_thread(lambda: self._flush(time.monotonic() + seconds))

    async def commit(self, seconds: float) -> None:
        """Let the batch be read; raises where one message of it was refused or this producer is fenced."""
        await self._in_thread(lambda: self._resumed("commit_transaction", time.monotonic() + seconds))

    def poll(self) -> None:
        """Let librdkafka tell what it has to say in the log."""
        self._started.poll(0)

    async def close(self) -> None:
        """Give up at once whatever is under way; nothing is sent by this producer once it has returned."""
        self._closing = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        finally:
            self._thread.shutdown(wait=False)

    @property
    def _started(self) -> Producer:
        if self._producer is None:
            raise ProducerClosedError
        return self._producer

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _end(self, fault: KafkaError | None, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        # Negative where Kafka has not told it.
        if fault is None and topic is not None and partition is not None and offset is not None and offset >= 0:
            self._ends[TopicPartition(topic, partition)] = offset + 1

    def _start(self, deadline: float) -> None:
        self._producer = Producer(self._configuration, logger=logging.getLogger("librdkafka"))
        self._resumed("init_transactions", deadline)

    def _flush(self, deadline: float) -> None:
        while self._started.flush(self._slice(deadline)):
            continue

    def _resumed(self, step: str, deadline: float) -> None:
        """Do `step`, and again for as long as it only took too long: librdkafka goes on where it was."""
        # By its name: a fault's traceback would keep the method, and with it a producer that is to go at once.
        while True:
            try:
                methodcaller(step, self._slice(deadline))(self._started)
            except KafkaException as fault:
                if not fault.args[0].retriable():
                    raise
            else:
                return

    def _slice(self, deadline: float) -> float:
        if self._closing:
            raise ProducerClosedError
        left = deadline - time.monotonic()
        if left <= 0:
            raise ProducerTimeoutError
        return min(_SLICE, left)

    def _let_go(self) -> None:
        # Its destructor drops what is queued. `Producer.close()` would wait for the broker, however long it is away.
        self._producer = None
