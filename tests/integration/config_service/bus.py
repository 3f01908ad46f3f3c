"""What the service says on Kafka, and how commands are sent to it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from deploy.local.topics import records_of
from shared.contracts import (
    COMMANDS_REPLIES,
    Command,
    Envelope,
    Message,
    Record,
    Topic,
    from_record,
    new_envelope,
    parked_topic,
    to_record,
)
from shared.kit.kafka import Kafka
from tests.conftest import eventually

GROUP = "config_service.commands"


@dataclass(frozen=True)
class Said:
    """A message of the service with its envelope."""

    envelope: Envelope
    message: Message

    @property
    def type(self) -> str:
        return self.envelope.type


async def said_on(kafka: Kafka, topic: Topic, key: str) -> list[Said]:
    """Everything on `topic` under `key`, in its order."""
    records = await records_of(kafka, topic.name)
    found = [
        from_record(Record(topic=topic.name, key=record.key, value=record.value, headers=list(record.headers)))
        for record in records
        if record.key == key.encode()
    ]
    return [Said(envelope, message) for envelope, message in found]


async def events(kafka: Kafka, topic: Topic, key: str, count: int) -> list[Said]:
    """The first `count` events under `key`, as soon as they are there."""

    async def there() -> list[Said]:
        said = await said_on(kafka, topic, key)
        return said if len(said) >= count else []

    said: list[Said] = await eventually(there, every=0.1)
    return said


async def send(kafka: Kafka, *records: Record) -> None:
    """Put records onto Kafka, one after the other."""
    producer = kafka.producer()
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                kafka.physical(record.topic), key=record.key, value=record.value, headers=record.headers
            )
    finally:
        await producer.stop()


def a_record(command: Command, client_id: UUID, **envelope: Any) -> Record:
    """The record of a command as an upstream service sends it."""
    return to_record(command, new_envelope(command, source="/upstream", client_id=client_id, **envelope))


async def replies_to(kafka: Kafka, command_ids: list[str], key: str, count: int = 1) -> list[Said]:
    """The replies to these commands, of which there must be `count`, in the order in which they were said."""

    async def there() -> list[Said]:
        said = await said_on(kafka, COMMANDS_REPLIES, key)
        answers = [each for each in said if getattr(each.message, "command_id", None) in command_ids]
        return answers if len(answers) >= count else []

    replies: list[Said] = await eventually(there, every=0.1)
    return replies


async def parked_with(kafka: Kafka, key: bytes | None, count: int = 1) -> list[dict[str, str]]:
    """What is said of the messages that were parked under `key`, as soon as there are `count`."""

    async def there() -> list[dict[str, str]]:
        records = await records_of(kafka, parked_topic(GROUP).name)
        told = [
            {name: value.decode() for name, value in record.headers if name.startswith("parked-")}
            for record in records
            if record.key == key
        ]
        return told if len(told) >= count else []

    told: list[dict[str, str]] = await eventually(there, every=0.1)
    return told
