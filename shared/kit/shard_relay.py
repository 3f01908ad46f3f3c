"""Publishes one shard of the outbox to Kafka, in order per key, with a fence against its predecessors (P1, P2).

One batch is one Kafka transaction: produce all, commit, see that it can be read, delete by id. A crash between Kafka's
commit and the delete publishes the run again, in the same order and with the same ids. Any error throws producer, batch
and cursor away and starts over, so that a fenced relay never sends what it had read before it was fenced.

A commit that Kafka has acknowledged is not enough: brokers that are killed before they have marked it in every
partition, and are alone when they come back, may take it for complete (seen with Kafka 4.3.1). Its messages then stay
hidden until the same producer's next transaction there ends, and are lost if that one is aborted.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter

import asyncpg
import orjson
import structlog
from aiokafka import TopicPartition

from .boundaries import Boundary, reached
from .company import Company
from .faults import INFRASTRUCTURE
from .hops import Published, Send
from .horizon import Horizon, Snapshot
from .kafka import Kafka
from .leases import Leases
from .producer import PRODUCER_FAULTS, FencedProducer
from .timed_event import TimedEvent
from .tracing import Tracer
from .waiting import FIRST_ROWS, ROWS, delete_published, read_waiting

_AFTER_ERROR = 0.5
_ROUND = 20.0
_PUBLISH_SECONDS = 30.0
#: how many messages are handed to the producer before the event loop may turn
_SENT_AT_ONCE = 500
_TOPIC = itemgetter(3)

#: waits until everything before these offsets can be read, and fails where it cannot
Readable = Callable[[Mapping[TopicPartition, int]], Awaitable[None]]

_log = structlog.get_logger("relay")


class LeaseLostError(Exception):
    """Another relay has taken the shard in the meantime."""


#: what throws producer, batch and cursor away
STARTS_OVER: tuple[type[Exception], ...] = (*INFRASTRUCTURE, *PRODUCER_FAULTS, LeaseLostError)


class ShardRelay:
    """Publishes one shard for as long as its lease is held."""

    def __init__(
        self,
        shard: int,
        leases: Leases,
        kafka: Kafka,
        id_: str,
        published: Counter[str],
        readable: Readable,
        tracer: Tracer | None = None,
    ) -> None:
        #: `id_` is the producer's transactional id; `published` counts what is published, by topic
        self._published = published
        self._readable = readable
        self._shard = shard
        self._leases = leases
        self._kafka = kafka
        self._transactional_id = id_
        self._tracer = tracer
        self._news = TimedEvent()
        self._resigned = False
        self._horizon = Horizon()
        #: when its loop last came round, on the monotonic clock
        self.turned_at = time.monotonic()

    @property
    def cursor(self) -> int:
        """Everything up to this id is published, for as long as the loop does not start over."""
        return self._horizon.cursor

    def wake(self) -> None:
        """There is something to publish."""
        self._news.set()

    def resign(self) -> None:
        """End after the batch in hand: one that is committed and not deleted would be published again."""
        self._resigned = True
        self._news.set()

    async def run(self) -> None:
        """Publish until resigned or cancelled; every fault starts from nothing again."""
        while not self._resigned:
            self.turned_at = time.monotonic()
            try:
                await self._own()
            except STARTS_OVER as fault:
                _log.warning("shard starts over", shard=self._shard, fault=repr(fault))
                await asyncio.sleep(_AFTER_ERROR)

    async def _own(self) -> None:
        reached(Boundary.RELAY_LEASED)
        # Starting the producer fences whoever holds the shard: not without the lease.
        if not await self._leases.holds(self._shard):
            raise LeaseLostError
        async with self._producer() as producer:
            reached(Boundary.RELAY_FENCED)
            # The lease may have run out while the producer started: then its new holder fences us, and not we it.
            if not await self._leases.holds(self._shard):
                raise LeaseLostError
            await self._publish_all(producer)

    async def _publish_all(self, producer: FencedProducer) -> None:
        # Small at first: on a machine that is too slow for a whole batch within a transaction's time, starting over
        # with the same batch would come to the same end for ever.
        self._horizon, at_most, company = Horizon(), FIRST_ROWS, Company()
        self._news.set()
        while await self._told():
            began = time.monotonic()
            rows, snapshot = await self._read(self.cursor, at_most)
            if rows:
                await self._publish(producer, rows)
                await self._readable(producer.ends())
                await self._delete(rows)
                if len(rows) == at_most:
                    self._news.set()
                else:
                    await asyncio.sleep(company.wait(began))
                at_most = min(2 * at_most, ROWS)
            self._horizon = self._horizon.after(snapshot)

    async def _told(self) -> bool:
        """Wait for news; without any, come round now and then all the same. Whether to go on."""
        await self._news.wait(_ROUND)
        self._news.clear()
        self.turned_at = time.monotonic()
        return not self._resigned

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[FencedProducer]:
        producer = self._kafka.transactional_producer(self._transactional_id)
        try:
            await producer.start()
            yield producer
        finally:
            await producer.close()

    async def _read(self, cursor: int, at_most: int) -> tuple[Sequence[asyncpg.Record], Snapshot]:
        async with self._leases.database.driver_connection() as connection:
            found = await read_waiting(connection, self._shard, cursor, at_most)
        reached(Boundary.RELAY_READ)
        return found

    async def _publish(self, producer: FencedProducer, rows: Sequence[asyncpg.Record]) -> None:
        if self._tracer is None:
            await self._transact(producer, producer.send, rows)
        else:
            with Published(self._tracer, producer.send) as published:
                await self._transact(producer, published.send, rows)

    async def _transact(self, producer: FencedProducer, send: Send, rows: Sequence[asyncpg.Record]) -> None:
        deadline = time.monotonic() + _PUBLISH_SECONDS
        producer.begin()
        await self._send(send, rows)
        await producer.delivered(deadline - time.monotonic())
        reached(Boundary.RELAY_PRODUCED)
        await producer.commit(deadline - time.monotonic())
        self._published.update(map(_TOPIC, rows))
        reached(Boundary.RELAY_PUBLISHED)

    async def _send(self, send: Send, rows: Sequence[asyncpg.Record]) -> None:
        partition_of, physical = self._leases.database.outbox.partition_of, self._kafka.physical
        for number, (_, _, _, topic, key, headers, payload) in enumerate(rows):
            send(physical(topic), partition_of(key), key, payload, orjson.loads(headers))
            if number % _SENT_AT_ONCE == _SENT_AT_ONCE - 1:
                await asyncio.sleep(0)

    async def _delete(self, rows: Sequence[asyncpg.Record]) -> None:
        async with self._leases.database.driver_connection() as connection:
            await delete_published(connection, self._shard, rows)
        reached(Boundary.RELAY_DELETED)
