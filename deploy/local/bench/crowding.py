"""Fills Kafka with more than installations have, for the console to look at: groups that have stopped, parked messages.

Run as `python -m deploy.local.bench.crowding BOOTSTRAP`. On every partition of its own topic each group stands behind
records that wait; nobody is in any of them, so that everything that can be wrong is.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.contracts import Topic, parked_topic
from shared.kit.kafka import Kafka
from shared.kit.logs import configure_logs
from shared.kit.parking import Parked, Parking
from shared.kit.received import Origin
from shared.kit.topics import ensure_topics

GROUPS, PARTITIONS, PARKED = 50, 1_000, 10_000
REASONS = ("not_json", "unknown_type", "out_of_patience")
#: about as long as what the kit tells of a body that is not what it should be
DETAIL = "the body is no OrderPlaced: " + "cash_amount is missing; " * 30

_EACH = PARTITIONS // GROUPS
_WRITTEN, _DONE = 10, 5
#: a broker that others use as well takes its time for a hundred partitions
_TOPICS_AT_ONCE = 5
_VALUE = b"x" * 400


def group(number: int) -> str:
    """One of the groups, by its logical name."""
    return f"service_{number:02}.group"


def _topic(number: int) -> Topic:
    return Topic(name=f"crowd.{number:02}.v1", holds="what the crowd reads", key="nothing")


async def _crowd(bootstrap: str) -> None:
    kafka = Kafka(bootstrap, client_id="bench")
    for first in range(0, GROUPS, _TOPICS_AT_ONCE):
        numbers = range(first, first + _TOPICS_AT_ONCE)
        await ensure_topics(kafka, map(_topic, numbers), partitions=_EACH, replication=1)
        parked = [parked_topic(group(number)) for number in numbers]
        await ensure_topics(kafka, parked, partitions=1, replication=1)
    await _write(kafka)
    for number in range(GROUPS):
        await _stop_midway(kafka, number)
        await _park(kafka, number)
    print(f"{GROUPS} groups, {PARTITIONS:,} partitions, {PARKED:,} parked messages")


async def _write(kafka: Kafka) -> None:
    async with kafka.producer() as producer:
        for number in range(GROUPS):
            topic = kafka.physical(_topic(number).name)
            for partition in range(_EACH):
                for _ in range(_WRITTEN):
                    await producer.send(topic, _VALUE, partition=partition)


async def _stop_midway(kafka: Kafka, number: int) -> None:
    """Let the group have read some of each partition and go away."""
    physical = kafka.physical(group(number))
    partitions = [TopicPartition(kafka.physical(_topic(number).name), each) for each in range(_EACH)]
    consumer = AIOKafkaConsumer(**kafka.for_aiokafka, group_id=physical, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, _DONE))
    finally:
        await consumer.stop()


async def _park(kafka: Kafka, number: int) -> None:
    """Park as the kit does, with everything that it writes beside a message."""
    parking, topic = Parking(kafka, group(number)), _topic(number).name

    async def park(offset: int) -> None:
        reason = REASONS[offset % len(REASONS)]
        await parking.park(_record(topic, offset), Parked(Origin(topic, offset % _EACH, offset), reason, DETAIL))

    try:
        await park(0)  # which starts the one producer
        await asyncio.gather(*map(park, range(1, PARKED // GROUPS)))
    finally:
        await parking.close()


def _record(topic: str, offset: int) -> ConsumerRecord[bytes, bytes]:
    key = str(offset).encode()
    return ConsumerRecord(topic, offset % _EACH, offset, 0, 0, key, _VALUE, 0, len(key), len(_VALUE), [])


if __name__ == "__main__":
    configure_logs("bench-crowding", "CRITICAL")  # not a line for each of them
    uvloop.run(_crowd(sys.argv[1]))
