"""Reads what topics hold, as any consumer that reads committed messages would see it."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.kit.kafka import Kafka

#: longer than a transaction whose producer was killed stands open, which hides what is behind it
_LONGEST_SECONDS = 40.0


async def records_of(kafka: Kafka, topic: str, partitions: int) -> list["ConsumerRecord[bytes, bytes]"]:
    """Everything in `topic` (its logical name) now, partition by partition in order; TimeoutError if it takes long."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        return await _records_of(kafka, topic, partitions)


async def _records_of(kafka: Kafka, topic: str, partitions: int) -> list["ConsumerRecord[bytes, bytes]"]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        where = [TopicPartition(kafka.physical(topic), number) for number in range(partitions)]
        consumer.assign(where)
        await consumer.seek_to_beginning(*where)
        ends = await consumer.end_offsets(where)
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {tp: [] for tp in where}
        while waiting := [tp for tp in where if await consumer.position(tp) < ends[tp]]:
            for tp, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
                found[tp].extend(records)
        return [record for tp in where for record in found[tp]]
    finally:
        await consumer.stop()
