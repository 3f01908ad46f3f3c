"""Two upstream services in one: the same records sent and the same replies read by aiokafka and by confluent-kafka."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from shared.contracts import COMMANDS_REPLIES, ReadMessage, Record, is_reply_to, read
from shared.kit.kafka import Kafka

SECONDS = 20.0


@dataclass(frozen=True)
class Upstream:
    """How one Kafka client sends records, answering their partitions, and collects replies to a command."""

    send: Callable[[Kafka, Sequence[Record]], Awaitable[list[int]]]
    replies: Callable[[Kafka, Record, int], Awaitable[list[ReadMessage]]]


async def _send_by_aiokafka(kafka: Kafka, records: Sequence[Record]) -> list[int]:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) as producer:
        sent = [
            await producer.send_and_wait(
                kafka.prefix + record.topic, record.value, key=record.key, headers=record.headers
            )
            for record in records
        ]
    return [each.partition for each in sent]


async def _replies_by_aiokafka(kafka: Kafka, command: Record, count: int) -> list[ReadMessage]:
    consumer = AIOKafkaConsumer(
        kafka.prefix + COMMANDS_REPLIES.name,
        bootstrap_servers=kafka.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    found: list[ReadMessage] = []
    async with asyncio.timeout(SECONDS), consumer:
        while len(found) < count:
            message = await consumer.getone()
            came = read(message.topic, message.key, message.value, message.headers, prefix=kafka.prefix)
            if is_reply_to(command, came):
                found.append(came)
    return found


def _send_by_confluent(kafka: Kafka, records: Sequence[Record]) -> list[int]:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    delivered: list[Message] = []
    for record in records:
        producer.produce(
            kafka.prefix + record.topic,
            record.value,
            record.key,
            headers=list(record.headers),
            on_delivery=lambda _, message: delivered.append(message),
        )
    assert producer.flush(SECONDS) == 0
    partitions = [message.partition() for message in delivered if message.error() is None]
    assert len(partitions) == len(records)
    return [partition for partition in partitions if partition is not None]


def _replies_by_confluent(kafka: Kafka, command: Record, count: int) -> list[ReadMessage]:
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": uuid4().hex, "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    topic, deadline = kafka.prefix + COMMANDS_REPLIES.name, time.monotonic() + SECONDS
    found: list[ReadMessage] = []
    try:
        partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        while len(found) < count:
            if time.monotonic() > deadline:
                pytest.fail(f"{len(found)} of {count} replies within {SECONDS} s")
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            came = read(topic, message.key(), message.value(), message.headers(), prefix=kafka.prefix)
            if is_reply_to(command, came):
                found.append(came)
    finally:
        consumer.close()
    return found


async def _send_in_a_thread(kafka: Kafka, records: Sequence[Record]) -> list[int]:
    return await asyncio.to_thread(_send_by_confluent, kafka, records)


async def _replies_in_a_thread(kafka: Kafka, command: Record, count: int) -> list[ReadMessage]:
    return await asyncio.to_thread(_replies_by_confluent, kafka, command, count)


AIOKAFKA = Upstream(_send_by_aiokafka, _replies_by_aiokafka)
CONFLUENT = Upstream(_send_in_a_thread, _replies_in_a_thread)
