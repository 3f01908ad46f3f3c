"""Parked messages as they lie in Kafka."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import ConsumerRecord

from shared.contracts import parked_topic
from shared.kit.kafka import Kafka
from shared.kit.parking import Piece, original_headers, restored
from shared.kit.reading import partitions_of, reader, records_until_now

_TOPIC = parked_topic("").name
_TOLD = "parked-"


@dataclass(frozen=True)
class Parked:
    """One parked message, whole."""

    #: the header `parked-id`
    id: str
    group: str
    reason: str
    detail: str
    #: where it stood: topic, partition, offset
    topic: str
    partition: int
    offset: int
    attempts: int
    at: datetime
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    #: as it came with them
    headers: list[tuple[str, bytes]] = field(repr=False)

    @property
    def service(self) -> str:
        """Whose group it is."""
        return self.group.partition(".")[0]


async def parked_messages(kafka: Kafka, groups: Collection[str] = ()) -> AsyncGenerator[Parked, None]:
    """Every parked message (of these groups, if any are named), oldest first in each partition; raises KafkaError.

    One that was parked in parts comes whole with its last part.
    """
    admin = kafka.admin()
    try:
        await admin.start()
        names = [kafka.logical(name) for name in await admin.list_topics() if name.startswith(kafka.prefix)]
    finally:
        await admin.close()
    topics = sorted(name for name in names if name.endswith(_TOPIC) and name != _TOPIC)
    wanted = [name for name in topics if not groups or name.removesuffix(_TOPIC) in groups]
    if not wanted:
        return
    parts: dict[str, dict[str, bytes]] = defaultdict(dict)
    async with reader(kafka) as consumer:
        async for record in records_until_now(consumer, await partitions_of(kafka, *wanted)):
            told = _told(record)
            if "parked-part" not in told:
                yield _read(told, (record.key, record.value, original_headers(record)))
            elif piece := _put_together(parts[told["parked-id"]], told["parked-part"], record.value or b""):
                del parts[told["parked-id"]]
                yield _read(told, piece)


def _told(record: "ConsumerRecord[bytes, bytes]") -> dict[str, str]:
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers if name.startswith(_TOLD)}


def _put_together(parts: dict[str, bytes], part: str, content: bytes) -> Piece | None:
    # By number: a message whose parking was broken off has some of its parts twice.
    number, _, of = part.partition("/")
    parts[number] = content
    return restored([parts[str(n + 1)] for n in range(int(of))]) if len(parts) == int(of) else None


def _read(told: dict[str, str], piece: Piece) -> Parked:
    key, value, headers = piece
    return Parked(
        id=told["parked-id"],
        group=told["parked-group"],
        reason=told["parked-reason"],
        detail=told["parked-detail"],
        topic=told["parked-topic"],
        partition=int(told["parked-partition"]),
        offset=int(told["parked-offset"]),
        attempts=int(told["parked-attempts"]),
        at=datetime.fromisoformat(told["parked-at"]),
        key=key,
        value=value,
        headers=headers,
    )


def as_text(raw: bytes | None) -> str | None:
    """Bytes for a person to read; what is no text is shown by its code."""
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def shown(parked: Parked, *, whole: bool) -> dict[str, Any]:
    """The message as JSON takes it; its key, body and headers only where it is to be seen `whole`."""
    told: dict[str, Any] = {
        "id": parked.id,
        "group": parked.group,
        "reason": parked.reason,
        "detail": parked.detail,
        "topic": parked.topic,
        "partition": parked.partition,
        "offset": parked.offset,
        "attempts": parked.attempts,
        "parked_at": parked.at.isoformat(),
    }
    if whole:
        told["key"], told["value"] = as_text(parked.key), as_text(parked.value)
        told["headers"] = {name: as_text(value) for name, value in parked.headers}
    return told
