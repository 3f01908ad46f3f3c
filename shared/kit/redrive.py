"""The way back for parked messages: to `<group>.redrive.v1`, which only that group reads (P7).

The parked topic is read from its start to the end that it had when the redrive began. Messages stay in it until Kafka
forgets them; one that was redriven before is sent again, and the inbox or the revision makes that harmless.
"""

from collections import defaultdict

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contracts import parked_topic, redrive_topic

from .kafka import Kafka
from .parking import original_headers, restored
from .reading import partitions_of, reader, records_until_now

#: a message that was parked in parts goes back whole; whether it may is the redrive topic's to say
_LARGEST = 64 * 1024 * 1024

#: which headers travel back: where the message first stood
_ORIGIN = ("parked-topic", "parked-partition", "parked-offset")


async def redrive(kafka: Kafka, group: str, *, reason: str | None = None, parked_id: str | None = None) -> int:
    """Send the group's parked messages back to it; answers how many.

    Only those parked for `reason` and only the one of `parked_id` (the header `parked-id`), where these are given.
    """
    producer = kafka.producer(max_request_bytes=_LARGEST)
    wanted = {"parked-reason": reason, "parked-id": parked_id}
    chosen = {name: value.encode() for name, value in wanted.items() if value is not None}
    try:
        async with reader(kafka) as consumer:
            await producer.start()
            return await _send_back(kafka, group, chosen, consumer, producer)
    finally:
        await producer.stop()


async def _send_back(
    kafka: Kafka, group: str, chosen: dict[str, bytes], consumer: AIOKafkaConsumer, producer: AIOKafkaProducer
) -> int:
    topic = kafka.physical(redrive_topic(group).name)
    parts: dict[bytes, dict[str, bytes]] = defaultdict(dict)
    count = 0
    parked = await partitions_of(kafka, parked_topic(group).name)
    async for record in records_until_now(consumer, parked):
        told = dict(record.headers)
        if not chosen.items() <= told.items():
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
