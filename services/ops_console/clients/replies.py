"""A command sent, and its reply waited for."""

import asyncio

from aiokafka import AIOKafkaConsumer

from shared.contracts import (
    COMMANDS_REPLIES,
    CommandAccepted,
    CommandRejected,
    Record,
    UnreadableMessageError,
    is_reply_to,
    read,
)
from shared.kit.kafka import Kafka
from shared.kit.reading import partitions_of, reader

from .services import Trouble

_WAIT_MS = 500


def no_reply_within(seconds: float) -> Trouble:
    """Nobody has answered in time; the command may still be done."""
    return Trouble(f"No reply within {seconds:g} s: the command is on its topic and may still be done.")


async def send(kafka: Kafka, record: Record, within: float) -> CommandAccepted | CommandRejected:
    """Put the command on its topic and wait for its reply; raises Trouble after `within` seconds, and KafkaError."""
    replies = await partitions_of(kafka, COMMANDS_REPLIES.name)
    async with reader(kafka) as consumer:
        # Before it is sent: the reply may be there at once.
        ends = await consumer.end_offsets(replies)
        consumer.assign(replies)
        for tp in replies:
            consumer.seek(tp, ends[tp])
        producer = kafka.producer()
        try:
            await producer.start()
            await producer.send_and_wait(
                kafka.physical(record.topic), record.value, key=record.key, headers=record.headers
            )
        finally:
            await producer.stop()
        try:
            async with asyncio.timeout(within):
                return await _reply(kafka, consumer, record)
        except TimeoutError as fault:
            raise no_reply_within(within) from fault


async def _reply(kafka: Kafka, consumer: AIOKafkaConsumer, sent: Record) -> CommandAccepted | CommandRejected:
    while True:
        for records in (await consumer.getmany(timeout_ms=_WAIT_MS)).values():
            for record in records:
                try:
                    came = read(record.topic, record.key, record.value, record.headers, prefix=kafka.prefix)
                except UnreadableMessageError:
                    continue
                if is_reply_to(sent, came) and isinstance(came.message, CommandAccepted | CommandRejected):
                    return came.message
