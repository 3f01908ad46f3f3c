"""The way back for parked messages: to `<group>.redrive.v1`, which only that group reads (P7).

The parked topic is read from its start to the end that it had when the redrive began. Messages stay in it until Kafka
forgets them; one that was redriven before is sent again, and the inbox or the revision makes that harmless.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from shared.contracts import parked_topic, redrive_topic

from .kafka import Kafka
from .parking import original_headers, restored

#: a message that was parked in parts goes back whole; whether it may is the redrive topic's to say
_LARGEST = 64 * 1024 * 1024

#: which headers travel back: where the message first stood
_ORIGIN = ("parked-topic", "parked-partition", "parked-offset")


async def redrive(kafka: Kafka, group: str, *, reason: str | None = None) -> int:
    """Send the group's parked messages (those parked for `reason`, if given) back to it; answers how many."""
    producer = kafka.producer(max_request_bytes=_LARGEST)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, isolation_level="read_committed"
    )
    try:
        await asyncio.gather(producer.start(), consumer.start())
        return await _send_back(kafka, group, reason, consumer, producer)
    finally:
        await asyncio.gather(producer.stop(), consumer.stop(), return_exceptions=True)


async def _send_back(
    kafka: Kafka, group: str, reason: str | None, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer
) -> int:
    topic = kafka.physical(redrive_topic(group).name)
    parts: dict[bytes, dict[str, bytes]] = defaultdict(dict)
    count = 0
    async for record in _all_of(consumer, kafka.physical(parked_topic(group).name)):
        told = dict(record.headers)
        if reason is not None and told["parked-reason"].decode() != reason:
            continue
        origin = [(name, told[name]) for name in _ORIGIN]
        key, value, headers = record.key, record.value, original_headers(record)
        if "parked-part" in told:
            # By number: a message whose parking was broken off has some of its parts twice.
            number, _, of = told["parked-part"].decode().partition("/")
            together = parts[told["parked-id"]]
            together[number] = record.value or b""
            if len(together) < int(of):
                continue
            key, value, headers = restored([together[str(n + 1)] for n in range(int(of))])
            del parts[told["parked-id"]]
        await producer.send_and_wait(topic, key=key, value=value, headers=[*headers, *origin])
        count += 1
    return count


async def _all_of(consumer: AIOKafkaConsumer, topic: str) -> AsyncIterator["ConsumerRecord[bytes, bytes]"]:
    """Every record that `topic` holds at this moment, partition by partition in order."""
    partitions = [TopicPartition(topic, number) for number in sorted(await _partitions(consumer, topic))]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    while waiting := [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=500, max_records=100)).items():
            for record in records:
                if record.offset < ends[tp]:
                    yield record


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    consumer.subscribe([topic])
    async with asyncio.timeout(10):
        while not (found := consumer.partitions_for_topic(topic)):  # noqa: ASYNC110 -- aiokafka tells nobody
            await asyncio.sleep(0.05)
    consumer.unsubscribe()
    return set(found)
