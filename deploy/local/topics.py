"""Reads what topics hold, as any consumer that reads committed messages would see it."""

import asyncio

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from shared.kit.kafka import Kafka
from shared.kit.reading import know_leaders, reader, records_until_now

#: longer than a transaction whose producer was killed stands open, which hides what is behind it
_LONGEST_SECONDS = 40.0


async def records_of(kafka: Kafka, topic: str) -> list["ConsumerRecord[bytes, bytes]"]:
    """Everything in `topic` (its logical name) now, partition by partition in order.

    Raises UnknownTopicOrPartitionError where there is none of that name, and TimeoutError if it takes long.
    """
    physical = kafka.physical(topic)
    async with asyncio.timeout(_LONGEST_SECONDS), reader(kafka) as consumer:
        await know_leaders(consumer, [TopicPartition(physical, 0)])
        numbers = consumer.partitions_for_topic(physical)
        if not numbers:
            raise UnknownTopicOrPartitionError(physical)
        partitions = [TopicPartition(physical, number) for number in sorted(numbers)]
        found = [record async for record in records_until_now(consumer, partitions)]
    return sorted(found, key=lambda record: record.partition)
