"""Messages of the bus as they come or have come, read by no group."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.contracts import ReadMessage, UnreadableMessageError, read
from shared.kit.kafka import Kafka
from shared.kit.reading import partitions_of, reader, records_until_now

_WAIT_MS = 1000


@dataclass(frozen=True)
class Came:
    """One record; `read` is None where it is no message that this version can read, and `why` says why not."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: str
    read: ReadMessage | None
    why: str | None = None

    @property
    def type(self) -> str:
        """The message's type; `?` where it cannot be read."""
        return self.read.envelope.type if self.read else "?"

    @property
    def client_id(self) -> str | None:
        """Whose it is."""
        return str(self.read.envelope.client_id) if self.read else None

    @property
    def body(self) -> dict[str, Any]:
        """What it says, as JSON takes it."""
        return self.read.message.model_dump(mode="json") if self.read else {}


async def until_now(
    kafka: Kafka, topics: Sequence[str], *, key: str | None = None, since: datetime | None = None
) -> AsyncGenerator[Came, None]:
    """What the topics hold now, partition by partition; only what has this key, if one is given. Raises KafkaError."""
    wanted = None if key is None else key.encode()
    async with reader(kafka) as consumer:
        async for record in records_until_now(consumer, await partitions_of(kafka, *topics), since=since):
            if wanted is None or record.key == wanted:
                yield _came(kafka, record)


async def after_the_end(
    kafka: Kafka, topics: Sequence[str], *, since: datetime | None = None
) -> AsyncGenerator[Came, None]:
    """What comes from now on (or has come since), for as long as somebody wants more. Raises KafkaError."""
    partitions = await partitions_of(kafka, *topics)
    async with reader(kafka) as consumer:
        await _stand(consumer, partitions, since)
        while True:
            for records in (await consumer.getmany(timeout_ms=_WAIT_MS)).values():
                for record in records:
                    yield _came(kafka, record)


async def _stand(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], since: datetime | None) -> None:
    ends = await consumer.end_offsets(partitions)
    found = {}
    if since is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, round(since.timestamp() * 1000)))
    consumer.assign(partitions)
    for tp in partitions:
        first = found.get(tp)
        consumer.seek(tp, ends[tp] if first is None else first.offset)


def _came(kafka: Kafka, record: "ConsumerRecord[bytes, bytes]") -> Came:
    message, why = None, None
    try:
        message = read(record.topic, record.key, record.value, record.headers, prefix=kafka.prefix)
    except UnreadableMessageError as fault:
        why = str(fault)
    return Came(
        topic=kafka.logical(record.topic),
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        key=(record.key or b"").decode("utf-8", "backslashreplace"),
        read=message,
        why=why,
    )
