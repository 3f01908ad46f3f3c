"""Whether contestants publish the same: figures of records that differ could not stand beside each other."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from deploy.local.bench.backlog import PAYLOAD, Backlog
from deploy.local.bench.peers.debezium import HEADERS
from shared.contracts import partition_of
from shared.contracts.topics import DEFAULT_PARTITIONS

_GIVE_UP = 60.0


class UnlikeError(Exception):
    """A contestant publishes something else than our relay."""


async def expect_likeness(outbox: Backlog) -> None:
    """Look at one record of a backlog in each partition; raises UnlikeError."""
    consumer = AIOKafkaConsumer(bootstrap_servers=outbox.kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        async with asyncio.timeout(_GIVE_UP):
            for partition in outbox.partitions:
                consumer.assign([partition])
                await consumer.seek_to_beginning(partition)
                record = await consumer.getone(partition)
                if differs := difference(record):
                    raise UnlikeError(f"{record.topic}-{record.partition}@{record.offset}: {differs}")
    finally:
        await consumer.stop()


def difference(record: ConsumerRecord[bytes, bytes]) -> str:
    """What is unlike our relay's records of a backlog, nothing where it is like them."""
    if record.value != PAYLOAD:
        return f"the body is {record.value[:60]!r}"
    if record.partition != partition_of(record.key.decode(), DEFAULT_PARTITIONS):
        return f"the key {record.key!r} belongs to another partition"
    headers = {name: value.decode() for name, value in record.headers}
    missing = sorted(set(HEADERS.values()) - headers.keys())
    if missing or headers["ce_type"] != "OrderPlaced":
        return f"of its headers {sorted(headers)} these are missing: {missing}; ce_type is {headers.get('ce_type')}"
    return ""
