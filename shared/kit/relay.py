"""The relay: publishes the outbox to Kafka, in order per key, with a fence against its predecessors (P1, P2).

One batch is one Kafka transaction: produce all, commit, delete by id. A crash between Kafka's commit and the delete
publishes the run again, in the same order and with the same ids. Any error throws producer, batch and cursor away and
starts over, so that a fenced relay never sends what it had read before it was fenced.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg
import orjson
import structlog
from prometheus_client import Metric

from .boundaries import Boundary, reached
from .faults import INFRASTRUCTURE
from .hops import Published, Send
from .horizon import Horizon, Snapshot
from .kafka import Kafka
from .leases import Leases
from .liveness import Beat
from .metrics import RELAY_PUBLISHED
from .producer import PRODUCER_FAULTS, FencedProducer
from .tracing import Tracer
from .unit_of_work import Database
from .waiting import FIRST_ROWS, ROWS, delete_published, read_waiting

#: Which of the shards have anything at all; one query for all, however many are owned.
_NEWS = """
    SELECT shard FROM unnest($1::smallint[]) AS owned(shard)
    WHERE EXISTS (SELECT FROM outbox WHERE outbox.shard = owned.shard)
"""

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25
#: slow enough that events a few dozen milliseconds apart keep it attentive
_SLOWS_DOWN_BY = 1.1
#: While news keeps coming, the next batch waits for company, from batch to batch a little longer: what a transaction
#: costs Kafka and all its readers hardly depends on how many messages it has.
_COMPANY_STEP = 0.002
_LONGEST_COMPANY = 0.025
#: news that comes after a rest of this length does not wait
_REST = 0.04
_AFTER_ERROR = 0.5
_ROUND = 20.0
_PUBLISH_SECONDS = 30.0
#: how many messages are handed to the producer before the event loop may turn
_SENT_AT_ONCE = 500
#: longer than Kafka may take to answer or to give up on a batch
_HANGS_AFTER = 60.0
_HEARTBEATS_PER_LEASE = 3
#: how long a shard that is given up may go on with the batch in hand; below a lease's heartbeat
_LAST_BATCH = 1.0

_log = structlog.get_logger("relay")


class LeaseLostError(Exception):
    """Another relay has taken the shard in the meantime."""


#: what throws producer, batch and cursor away
STARTS_OVER: tuple[type[Exception], ...] = (*INFRASTRUCTURE, *PRODUCER_FAULTS, LeaseLostError)


class _Company:
    """How long a batch waits for company."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._free_at = 0.0

    def wait(self, began: float) -> float:
        """Seconds until the batch after the one that `began` then, on the monotonic clock, may begin."""
        rested = began - self._free_at > _REST
        self._wait = 0.0 if rested else min(self._wait + _COMPANY_STEP, _LONGEST_COMPANY)
        now = time.monotonic()
        self._free_at = max(now, began + self._wait)
        return self._free_at - now


class ShardRelay:
    """Publishes one shard for as long as its lease is held."""

    def __init__(
        self, shard: int, leases: Leases, kafka: Kafka, id_: str, published: Counter[str], tracer: Tracer | None = None
    ) -> None:
        #: `id_` is the producer's transactional id; `published` counts what is published, by topic
        self._published = published
        self._shard = shard
        self._leases = leases
        self._kafka = kafka
        self._transactional_id = id_
        self._tracer = tracer
        self._news = asyncio.Event()
        self._resigned = False
        #: when its loop last came round, on the monotonic clock
        self.turned_at = time.monotonic()

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
        horizon, at_most, company = Horizon(), FIRST_ROWS, _Company()
        self._news.set()
        while await self._told():
            began = time.monotonic()
            producer.poll()
            rows, snapshot = await self._read(horizon.cursor, at_most)
            if rows:
                await self._publish(producer, rows)
                await self._delete(rows)
                if len(rows) == at_most:
                    self._news.set()
                else:
                    await asyncio.sleep(company.wait(began))
                at_most = min(2 * at_most, ROWS)
            horizon = horizon.after(snapshot)

    async def _told(self) -> bool:
        """Wait for news; without any, come round now and then all the same. Whether to go on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ROUND):
                await self._news.wait()
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
        self._published.update(row["topic"] for row in rows)
        reached(Boundary.RELAY_PUBLISHED)

    async def _send(self, send: Send, rows: Sequence[asyncpg.Record]) -> None:
        partition_of, physical = self._leases.database.outbox.partition_of, self._kafka.physical
        for number, (_, _, _, topic, key, headers, payload) in enumerate(rows, start=1):
            send(physical(topic), partition_of(key), key, payload, orjson.loads(headers))
            if number % _SENT_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _delete(self, rows: Sequence[asyncpg.Record]) -> None:
        async with self._leases.database.driver_connection() as connection:
            await delete_published(connection, self._shard, rows)
        reached(Boundary.RELAY_DELETED)


class Relay:
    """Keeps this process's share of the shards published."""

    def __init__(
        self, database: Database, kafka: Kafka, name: str, *, lease_seconds: float = 6.0, tracer: Tracer | None = None
    ) -> None:
        #: `name` is the service's
        self._tracer = tracer
        self._database = database
        self._kafka = kafka
        self._service = name
        self._leases = Leases(database, lease_seconds)
        self._owned: dict[int, tuple[ShardRelay, asyncio.Task[None]]] = {}
        self._published = Counter[str]()

    async def run(self, beat: Beat) -> None:
        """Until cancelled: keep the leases, wake the shards that have news."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_leases(beat))
                tasks.create_task(self._pass_on_news())
        finally:
            await self._stop(list(self._owned))
            # Without a database the leases run out by themselves, and whatever has ended this must not be hidden.
            with suppress(*INFRASTRUCTURE):
                async with asyncio.timeout(2):
                    await self._leases.leave()

    def collect(self) -> Iterable[Metric]:
        """What was published so far."""
        yield RELAY_PUBLISHED.told({(topic,): number for topic, number in self._published.items()})

    async def _keep_leases(self, beat: Beat) -> None:
        while True:
            try:
                await self._balance(await self._leases.shards())
            except INFRASTRUCTURE as fault:
                _log.warning("leases not kept", fault=repr(fault))
            if self._all_turn():
                beat()
            await asyncio.sleep(self._leases.seconds / _HEARTBEATS_PER_LEASE)

    def _all_turn(self) -> bool:
        """Whether no shard hangs; one that has ended by a defect of ours ends the relay, which liveness notices."""
        for _, task in self._owned.values():
            if task.done():
                task.result()
        return all(time.monotonic() - relay.turned_at < _HANGS_AFTER for relay, _ in self._owned.values())

    async def _balance(self, mine: set[int]) -> None:
        surplus = [shard for shard in self._owned if shard not in mine]
        if surplus:
            await self._stop(surplus)
            await self._leases.release(surplus)
        for shard in mine - self._owned.keys():
            id_ = f"{self._service}.relay.{shard}"
            relay = ShardRelay(shard, self._leases, self._kafka, id_, self._published, self._tracer)
            self._owned[shard] = relay, asyncio.create_task(relay.run(), name=f"relay-{shard}")

    async def _stop(self, shards: Sequence[int]) -> None:
        stopped = [self._owned.pop(shard) for shard in shards]
        for relay, _ in stopped:
            relay.resign()
        if stopped:
            await asyncio.wait([task for _, task in stopped], timeout=_LAST_BATCH)
        for _, task in stopped:
            task.cancel()
        await asyncio.gather(*(task for _, task in stopped), return_exceptions=True)

    async def _pass_on_news(self) -> None:
        """Commits of this process tell at once; those of others are found by a poll that slows down while idle."""
        while True:
            try:
                async with self._database.driver_connection() as connection:
                    await self._watch(connection)
            except INFRASTRUCTURE as fault:
                _log.warning("outbox not polled", fault=repr(fault))
                await asyncio.sleep(_AFTER_ERROR)

    async def _watch(self, connection: asyncpg.Connection) -> None:
        pause, poll_at = _FIRST_PAUSE, time.monotonic()
        while True:
            news = await self._database.signal.wait(pause)
            # Other processes' rows are looked for also while this one has always something to tell.
            if time.monotonic() >= poll_at:
                news |= {row["shard"] for row in await connection.fetch(_NEWS, sorted(self._owned))}
                pause = _FIRST_PAUSE if news else min(pause * _SLOWS_DOWN_BY, _LONGEST_PAUSE)
                poll_at = time.monotonic() + pause
            for shard in news & self._owned.keys():
                self._owned[shard][0].wake()
