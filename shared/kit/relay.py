"""The relay: keeps this process's share of the outbox's shards published.

A shard is published by whoever holds its lease (`shard_relay.py` says how).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

import asyncpg
import structlog
from prometheus_client import Metric

from .attention import Attention
from .faults import INFRASTRUCTURE
from .kafka import Kafka
from .leases import Leases
from .liveness import Beat
from .metrics import RELAY_PUBLISHED
from .shard_relay import ShardRelay
from .stable_offsets import StableOffsets
from .tracing import Tracer
from .unit_of_work import Database
from .waiting import shards_with_news

_AFTER_ERROR = 0.5
#: longer than Kafka may take to answer or to give up on a batch
_HANGS_AFTER = 60.0
#: how long after its commit a batch may be hidden before it is published again; it is a matter of milliseconds
_HIDDEN_SECONDS = 4.0
_HEARTBEATS_PER_LEASE = 3
#: how long a shard that is given up may go on with the batch in hand; below a lease's heartbeat
_LAST_BATCH = 1.0

_log = structlog.get_logger("relay")


class Relay:
    """Keeps this process's share of the shards published."""

    def __init__(
        self,
        database: Database,
        kafka: Kafka,
        name: str,
        *,
        lease_seconds: float = 6.0,
        hidden_seconds: float = _HIDDEN_SECONDS,
        tracer: Tracer | None = None,
        of_everything: bool = False,
    ) -> None:
        #: `name` is the service's
        #: `of_everything`: this process has all roles of its service, so that there need not be another
        self._of_everything = of_everything
        self._tracer = tracer
        self._database = database
        self._kafka = kafka
        self._stable = StableOffsets(kafka)
        self._readable = partial(self._stable.reach, seconds=hidden_seconds)
        self._service = name
        self._leases = Leases(database, lease_seconds)
        self._attention = Attention()
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
            await self._stable.close()

    def collect(self) -> Iterable[Metric]:
        """What was published so far."""
        yield RELAY_PUBLISHED.told({(topic,): number for topic, number in self._published.items()})

    async def _keep_leases(self, beat: Beat) -> None:
        while True:
            try:
                await self._balance(await self._leases.shards())
                self._attention.alone = self._of_everything and self._leases.others == 0
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
            relay = ShardRelay(shard, self._leases, self._kafka, id_, self._published, self._readable, self._tracer)
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
        attention, look_at = self._attention, time.monotonic()
        while True:
            news = await self._database.signal.wait(attention.pause)
            attention.told(news, time.monotonic())
            # Other processes' rows are looked for also while this one has always something to tell.
            if time.monotonic() >= look_at:
                found = await shards_with_news(connection, {shard: it.cursor for shard, (it, _) in self._owned.items()})
                attention.found(found, time.monotonic())
                look_at = time.monotonic() + attention.pause
                news |= found
            for shard in news & self._owned.keys():
                self._owned[shard][0].wake()
