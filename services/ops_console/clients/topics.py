"""Topics: how many partitions, how much, how fast, how long kept, and when the last record came."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.kit.kafka import Kafka
from shared.kit.reading import know_leaders, reader

#: how far before the end the last record is looked for: a transaction's marker stands behind it
_BACK = 3
_WAIT_MS = 500
_TRIES = 10


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """One topic as it is now."""

    name: str
    partitions: int
    replicas: int
    #: offsets that are kept: records, and the markers of transactions
    records: int
    #: offsets a second while it was looked at; None where it was looked at once
    rate: float | None
    #: `compact`, or milliseconds
    kept: str
    last_record_at: datetime | None
    #: the sum of the offsets that its partitions have reached: what a rate between two looks is made from
    reached: int = 0


async def topics_seen(kafka: Kafka, window: float) -> list[TopicSeen]:
    """Every topic of this installation by its name; rates are over `window` seconds. Raises KafkaError."""
    admin = kafka.admin()
    try:
        await admin.start()
        described = await _described(kafka, admin)
        kept = await _kept(admin, list(described))
    finally:
        await admin.close()
    partitions = [TopicPartition(name, number) for name, (count, _) in described.items() for number in range(count)]
    async with reader(kafka) as consumer:
        await know_leaders(consumer, partitions)
        began, before = time.monotonic(), await consumer.end_offsets(partitions)
        firsts = await consumer.beginning_offsets(partitions)
        await asyncio.sleep(window)
        ends, seconds = await consumer.end_offsets(partitions), time.monotonic() - began
        newest = await _newest(consumer, firsts, ends)
    return [
        TopicSeen(
            name=kafka.logical(name),
            partitions=count,
            replicas=replicas,
            records=sum(ends[tp] - firsts[tp] for tp in partitions if tp.topic == name),
            rate=sum(ends[tp] - before[tp] for tp in partitions if tp.topic == name) / seconds if window else None,
            kept=kept[name],
            last_record_at=newest.get(name),
            reached=sum(ends[tp] for tp in partitions if tp.topic == name),
        )
        for name, (count, replicas) in sorted(described.items())
    ]


async def _described(kafka: Kafka, admin: AIOKafkaAdminClient) -> dict[str, tuple[int, int]]:
    """Partitions and replicas of our topics: those with our prefix that Kafka does not keep for itself."""
    names = [name for name in await admin.list_topics() if name.startswith(kafka.prefix) and not name.startswith("__")]
    found = await admin.describe_topics(names) if names else []
    return {
        each["topic"]: (len(each["partitions"]), max((len(part["replicas"]) for part in each["partitions"]), default=0))
        for each in found
    }


async def _kept(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, str]:
    wanted = {"cleanup.policy": None, "retention.ms": None}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(wanted)) for name in names]
    answers = await admin.describe_configs(resources) if resources else []
    found: dict[str, str] = {}
    for answer in answers:
        for _, _, _, name, entries in answer.resources:
            told: dict[str, Any] = {entry[0]: entry[1] for entry in entries}
            found[name] = "compact" if "compact" in told["cleanup.policy"] else str(told["retention.ms"])
    return found


async def _newest(
    consumer: AIOKafkaConsumer, firsts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[str, datetime]:
    """When the newest record of each topic was stamped, looked for at the end of each partition."""
    waiting = [tp for tp, end in ends.items() if firsts[tp] < end]
    consumer.assign(waiting)
    for tp in waiting:
        consumer.seek(tp, max(firsts[tp], ends[tp] - _BACK))
    newest: dict[str, int] = {}
    for _ in range(_TRIES):
        if not waiting:
            break
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=_WAIT_MS)).items():
            newest[tp.topic] = max(newest.get(tp.topic, 0), *(record.timestamp for record in records))
        waiting = [tp for tp in waiting if await consumer.position(tp) < ends[tp]]
    return {name: datetime.fromtimestamp(stamped / 1000, UTC) for name, stamped in newest.items()}
