"""What is under way and what is held, looked at now and then while a run lasts, and what is left at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.faults.ledger import Ledger
from deploy.local.faults.stage import Stage
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.kafka import Kafka

_EVERY = 1.0
_ANSWER_SECONDS = 5.0
_MIB = 2**20
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

#: Every consumer group with its topics.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "config_service.commands": ("configurations.commands.v1", "portfolios.commands.v1"),
    "order_service.commands": ("orders.commands.v1", "rebalancings.commands.v1"),
    "order_service.copies": ("configurations.events.v1", "accounts.events.v1", "portfolios.events.v1"),
    "webhook_dispatcher.copies": ("configurations.events.v1", "accounts.events.v1", "clients.events.v1"),
    "webhook_dispatcher.rebalancings": ("rebalancings.events.v1",),
    "webhook_dispatcher.events": (
        "orders.events.v1",
        "allocations.events.v1",
        "accounts.events.v1",
        "configurations.events.v1",
        "portfolios.events.v1",
    ),
}

#: What must be gone at rest, by the service in whose database it is looked for; `*` is each.
_LEFT: Final[Mapping[str, Mapping[str, str]]] = {
    "*": {
        "events in the outbox": "SELECT count(*) FROM outbox",
        "transactions open": """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - interval '2 seconds'
        """,
        "advisory locks": "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid"
        " WHERE locktype = 'advisory' AND datname = current_database()",
    },
    "order_service": {
        "rebalancings to be made": "SELECT count(*) FROM rebalancing_executions WHERE due_at IS NOT NULL",
        "targets of rebalancings": "SELECT count(*) FROM rebalancing_targets",
    },
    "webhook_dispatcher": {
        "deliveries open": "SELECT count(*) FROM deliveries WHERE state IN ('WAITING', 'LEASED')",
        "leases of deliveries": "SELECT count(*) FROM leases WHERE deliveries && ARRAY("
        "SELECT id FROM deliveries WHERE state IN ('WAITING', 'LEASED'))",
    },
}

_OPEN = """
    SELECT count(*) AS deliveries, coalesce(sum(1 + cardinality(more_event_ids)), 0) AS events
    FROM deliveries WHERE state IN ('WAITING', 'LEASED')
"""


class Watch:
    """Looks on."""

    def __init__(self, stage: Stage, ledger: Ledger, kafka: Kafka) -> None:
        self._stage = stage
        self._ledger = ledger
        self._kafka = kafka
        self._waiting = 0
        #: deliveries that wait or are being sent, a package of events being one
        self.deliveries = 0

    def in_flight(self) -> int:
        """What is asked for and not answered, written and not published, published and not delivered."""
        return len(self._ledger.unanswered) + self._waiting

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.to_thread(self._look_at_memory)
            with suppress(*_AWAY):
                deliveries, waiting = await self._row("webhook_dispatcher", _OPEN)
                for service in self._stage.system.databases:
                    waiting += await self._count(service, "SELECT count(*) FROM outbox")
                self._waiting, self.deliveries = waiting, deliveries
            await asyncio.sleep(_EVERY)

    async def left(self) -> dict[str, int]:
        """How much of what should be gone at rest is there; what cannot be looked at counts."""
        try:
            found = {"requests and commands unanswered": len(self._ledger.unanswered)}
            for service in self._stage.system.databases:
                for what, query in {**_LEFT["*"], **_LEFT.get(service, {})}.items():
                    found[f"{service}: {what}"] = await self._count(service, query)
            if not any(found.values()):
                found |= await self._behind()
        except (*_AWAY, KafkaError) as fault:
            return {f"not to be looked at: {fault!r}": 1}
        return found

    async def _count(self, service: str, query: str) -> int:
        (count,) = await self._row(service, query)
        return count

    async def _row(self, service: str, query: str) -> Sequence[int]:
        """The one row of counts that `query` finds in a service's database."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            connection = await asyncpg.connect(
                self._stage.system.databases[service], timeout=_ANSWER_SECONDS, ssl=False
            )
            try:
                return [int(count) for count in await connection.fetchrow(query) or ()]
            finally:
                await connection.close(timeout=_ANSWER_SECONDS)

    async def _behind(self) -> dict[str, int]:
        """Records that a group has not taken yet, by group."""
        admin = self._kafka.admin()
        await admin.start()
        try:
            return {f"{group}: records not taken": await self._records_behind(admin, group) for group in GROUPS}
        finally:
            await admin.close()

    async def _records_behind(self, admin: AIOKafkaAdminClient, group: str) -> int:
        stored = await admin.list_consumer_group_offsets(self._kafka.physical(group))
        at = {where: known.offset for where, known in stored.items() if known.offset >= 0}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [
                TopicPartition(self._kafka.physical(topic), number)
                for topic in GROUPS[group]
                for number in range(DEFAULT_PARTITIONS)
            ]
            ends = await consumer.end_offsets(places)
            # Markers of transactions lie behind the last record and are nobody's to take.
            behind = [where for where in places if at.get(where, 0) < ends[where]]
            return await _records_in(consumer, behind, at, ends)
        finally:
            await consumer.stop()

    def _look_at_memory(self) -> None:
        for name, process in self._stage.services.items():
            with suppress(psutil.Error):
                held = psutil.Process(process.pid).memory_info().rss / _MIB
                self._stage.memory[name] = max(self._stage.memory.get(name, 0.0), held)


async def _records_in(
    consumer: AIOKafkaConsumer,
    behind: list[TopicPartition],
    at: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> int:
    if not behind:
        return 0
    consumer.assign(behind)
    for where in behind:
        consumer.seek(where, at.get(where, 0))
    count = 0
    async with asyncio.timeout(20):
        while waiting := [where for where in behind if await consumer.position(where) < ends[where]]:
            count += sum(len(records) for records in (await consumer.getmany(*waiting, timeout_ms=200)).values())
    return count
