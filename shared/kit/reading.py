"""Reading topics as they are at one moment, by a reader that belongs to no group and commits nothing."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from .kafka import Kafka

_AT_ONCE = 500
_WAIT_MS = 500
_FETCH_MS = 50
#: what one answer of a broker may hold: readers look at many partitions at once, and keep nothing of them
_FETCH_BYTES = 8 * 1024 * 1024


@asynccontextmanager
async def reader(kafka: Kafka) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer that reads what was committed; raises KafkaError where no broker answers."""
    consumer = AIOKafkaConsumer(
        **kafka.for_aiokafka,
        enable_auto_commit=False,
        isolation_level="read_committed",
        # Every question waits for the fetch that is under way, and one that finds nothing new lasts so long.
        fetch_max_wait_ms=_FETCH_MS,
        fetch_max_bytes=_FETCH_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def know_leaders(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
    """Let the consumer learn at once who leads these, before it is asked about them.

    By itself it learns of one topic that it does not know, waits a tenth of a second, and goes on with the next.
    """
    topics = {tp.topic for tp in partitions}
    if topics:
        await consumer._client.set_topics(topics)  # noqa: SLF001 -- only assigning does it, which begins to read


@asynccontextmanager
async def asking(kafka: Kafka) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
    """One who asks what there is, and a reader beside; raises KafkaError where no broker answers."""
    admin = kafka.admin()
    try:
        await admin.start()
        async with reader(kafka) as consumer:
            yield admin, consumer
    finally:
        await admin.close()


async def partitions_of(kafka: Kafka, *topics: str) -> list[TopicPartition]:
    """All partitions of the topics of these logical names, one topic after the other; raises KafkaError."""
    admin = kafka.admin()
    try:
        await admin.start()
        described = await admin.describe_topics([kafka.physical(topic) for topic in topics])
    finally:
        await admin.close()
    for each in described:
        if each["error_code"]:
            raise for_code(each["error_code"])(each["topic"])
    return sorted(TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"])


async def records_until_now(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], *, since: datetime | None = None
) -> AsyncIterator["ConsumerRecord[bytes, bytes]"]:
    """Every record (those stamped at `since` or later, if given) that the partitions hold now, each in its order."""
    await know_leaders(consumer, partitions)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    firsts = await _first_offsets(consumer, partitions, since)
    # Asked before anything is assigned: a partition without records would hold each question up by one long poll.
    waiting = [tp for tp in partitions if firsts.get(tp, ends[tp]) < ends[tp]]
    consumer.assign(waiting)
    for tp in waiting:
        consumer.seek(tp, firsts[tp])
    while waiting:
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=_WAIT_MS, max_records=_AT_ONCE)).items():
            for record in records:
                if record.offset < ends[tp]:
                    yield record
        waiting = [tp for tp in waiting if await consumer.position(tp) < ends[tp]]


async def _first_offsets(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], since: datetime | None
) -> dict[TopicPartition, int]:
    """Where to begin; nothing for partitions without a record that is new enough."""
    if since is None:
        offsets: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        return offsets
    at = await consumer.offsets_for_times(dict.fromkeys(partitions, round(since.timestamp() * 1000)))
    return {tp: found.offset for tp, found in at.items() if found is not None}
