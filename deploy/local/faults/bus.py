"""The driver's end of Kafka: records are sent until the broker has them, and read on behind whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.contracts import Record
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.kafka import Kafka

_PAUSE = 0.3
_STOP_SECONDS = 3.0

Taken = Callable[["ConsumerRecord[bytes, bytes]"], None]


class Sender:
    """Sends records; one that is not acknowledged is sent again, which may make a copy of it."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, record: Record, *, copies: int = 1) -> tuple[int, int]:
        """Return partition and offset of the last copy once the broker has all."""
        where = (0, 0)
        for _ in range(copies):
            where = await self._send(record)
        return where

    async def _send(self, record: Record) -> tuple[int, int]:
        while True:
            producer = None
            try:
                producer = await self._started()
                sent = await producer.send_and_wait(
                    self._kafka.physical(record.topic), record.value, key=record.key, headers=record.headers
                )
            except (KafkaError, OSError, TimeoutError):
                await self._throw_away(producer)
                await asyncio.sleep(_PAUSE)
            else:
                return sent.partition, sent.offset

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await _started(self._kafka.producer())
            return self._producer

    async def _throw_away(self, producer: AIOKafkaProducer | None) -> None:
        if producer is not None:
            self._producer = None if self._producer is producer else self._producer
            await _stopped(producer.stop())

    async def close(self) -> None:
        """Give the producer back."""
        await self._throw_away(self._producer)


async def _started(producer: AIOKafkaProducer) -> AIOKafkaProducer:
    try:
        await producer.start()
    except BaseException:
        await _stopped(producer.stop())
        raise
    return producer


async def follow(kafka: Kafka, topics: list[str], taken: Taken) -> None:
    """Hand every committed record of the topics on, from the beginning, until cancelled."""
    positions: dict[TopicPartition, int] = {
        TopicPartition(kafka.physical(topic), number): 0 for topic in topics for number in range(DEFAULT_PARTITIONS)
    }
    while True:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=5000,
        )
        try:
            await consumer.start()
            await _hand_on(consumer, positions, taken)
        except (KafkaError, OSError, TimeoutError):
            await asyncio.sleep(_PAUSE)
        finally:
            await _stopped(consumer.stop())


async def _hand_on(consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int], taken: Taken) -> None:
    consumer.assign(list(positions))
    for where, position in positions.items():
        consumer.seek(where, position)
    while True:
        for where, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                taken(record)
                positions[where] = record.offset + 1


async def _stopped(stopping: Awaitable[None]) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await stopping
