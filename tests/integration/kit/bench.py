"""One consumer group on the test bench: its topics, a bus that runs it, and messages to feed it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer

from shared.contracts import Message, new_envelope, parked_topic, to_record
from shared.kit.bus import Bus
from shared.kit.consuming import Consumer
from shared.kit.kafka import Kafka
from shared.kit.liveness import Liveness
from shared.kit.subscriber import Subscriber
from shared.kit.topics import ensure_topics
from shared.kit.unit_of_work import Database
from tests.conftest import PARTITIONS

CLIENT = UUID("11111111-1111-4111-8111-111111111111")


async def make_topics(kafka: Kafka, subscriber: Subscriber) -> None:
    topics = [*subscriber.all_topics, parked_topic(subscriber.group)]
    await ensure_topics(kafka, topics, partitions=PARTITIONS, replication=1)


@asynccontextmanager
async def consuming(
    kafka: Kafka, database: Database, subscriber: Subscriber, **options: float
) -> AsyncIterator[tuple[Bus, Liveness]]:
    liveness = Liveness()
    bus = Bus(kafka, liveness, **{"session_seconds": 2, **options})
    bus.attach(Consumer(subscriber, database, kafka))
    await bus.start()
    try:
        yield bus, liveness
    finally:
        await bus.stop()


@asynccontextmanager
async def producing(kafka: Kafka) -> AsyncIterator[AIOKafkaProducer]:
    producer = kafka.producer()
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(kafka: Kafka, *messages: Message, client_id: UUID = CLIENT, copies: int = 1) -> None:
    """Send each message as an upstream service would, `copies` times the same record."""
    async with producing(kafka) as producer:
        waiting = []
        for message in messages:
            key = None if getattr(message, message.key_field, None) else str(uuid4())
            envelope = new_envelope(message, source="/upstream", client_id=client_id)
            record = to_record(message, envelope, key=key)
            for _ in range(copies):
                topic = kafka.physical(record.topic)
                waiting.append(await producer.send(topic, record.value, key=record.key, headers=record.headers))
        await asyncio.gather(*waiting)
