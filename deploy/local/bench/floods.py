"""How long one client's flood of refused commands keeps another client waiting, at worst: on the very same key."""

import asyncio
import time
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.bench.accounts import Bench
from deploy.local.bench.figures import Figure
from deploy.local.demo.telling import must
from shared.contracts import (
    COMMANDS_REPLIES,
    DeleteConfiguration,
    Record,
    new_envelope,
    new_id,
    partition_of,
    to_record,
)
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.kafka import Kafka

REFUSED = 100_000

_SOURCE = "/bench"
_GIVE_UP = 300.0
_AT_ONCE = 2000
#: refused commands a second, by one process that also publishes their replies
_AIM = 5000


async def flood(bench: Bench, kafka: Kafka, runs: int, refused: int) -> list[Figure]:
    """`refused` commands of a client that does not own the account, and then one of the client that does."""
    delays: list[float] = []
    alone: list[float] = []
    flooder, owner = UUID(bench.system.clients[1].client_id), bench.upstream.client_id
    for account in await bench.configured_accounts(2 * runs):
        command = DeleteConfiguration(account_id=account)
        last = to_record(command, new_envelope(command, source=_SOURCE, client_id=owner))
        # Every other run is without the flood: what the command takes by itself.
        if len(alone) <= len(delays):
            alone.append(await _answered(kafka, account, [last]))
        else:
            delays.append(await _answered(kafka, account, [*_flood(command, flooder, refused), last]))
    usual = min(alone)
    name = f"{refused:,} refused commands of one client delay another's by"
    return [
        Figure(name, "s", [delay - usual for delay in delays], limit=refused / _AIM, limit_is=f"{_AIM:,} refused/s"),
        Figure("… refused a second", "/s", [refused / delay for delay in delays]),
    ]


def _flood(command: DeleteConfiguration, client_id: UUID, count: int) -> list[Record]:
    one = to_record(command, new_envelope(command, source=_SOURCE, client_id=client_id))
    others = [(name, value) for name, value in one.headers if name != "ce_id"]
    return [
        Record(topic=one.topic, key=one.key, value=one.value, headers=[("ce_id", str(new_id()).encode()), *others])
        for _ in range(count)
    ]


async def _answered(kafka: Kafka, account: UUID, records: list[Record]) -> float:
    """Seconds from sending the first of `records` until the reply to the last of them can be read."""
    awaited = dict(records[-1].headers)["ce_id"]
    reading = asyncio.create_task(_reply(kafka, account, awaited))
    await asyncio.sleep(1)  # the reader stands at the topic's end by then
    producer = kafka.producer()
    await producer.start()
    try:
        began = time.monotonic()
        for start in range(0, len(records), _AT_ONCE):
            sent = [
                await producer.send(kafka.physical(each.topic), each.value, key=each.key, headers=each.headers)
                for each in records[start : start + _AT_ONCE]
            ]
            await asyncio.gather(*sent)
        return await asyncio.wait_for(reading, _GIVE_UP) - began
    finally:
        await producer.stop()


async def _reply(kafka: Kafka, account: UUID, command_id: bytes) -> float:
    """When the reply to the command could be read."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        where = TopicPartition(kafka.physical(COMMANDS_REPLIES.name), partition_of(str(account), DEFAULT_PARTITIONS))
        consumer.assign([where])
        await consumer.seek_to_end(where)
        await consumer.position(where)
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                answers = [record for record in records if command_id in record.value]
                if answers:
                    accepted = ("ce_type", b"CommandAccepted") in answers[0].headers
                    must("the command behind the flood is accepted", accepted)
                    return time.monotonic()
    finally:
        await consumer.stop()
