"""Parked messages as they lie in Kafka."""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.ops_console.domain import ParkedFacts, ParkedSeen, SentBack
from shared.contracts import parked_topic, redrive_topic
from shared.kit.kafka import Kafka
from shared.kit.parking import Piece, original_headers, restored
from shared.kit.reading import asking, know_leaders, partitions_of, reader, records_until_now

_TOPIC = parked_topic("").name
_WAY_BACK = redrive_topic("").name
_WAIT_MS = 500
_AT_ONCE = 500
_TOLD = "parked-"


@dataclass(frozen=True)
class Parked(ParkedFacts):
    """One parked message, whole."""

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
    return Parked(**_facts(told), key=key, value=value, headers=headers)


def _facts(told: dict[str, str]) -> dict[str, Any]:
    """The fields of ParkedFacts; raises LookupError or ValueError for what is not of our making."""
    return {
        "id": told["parked-id"],
        "group": told["parked-group"],
        "reason": told["parked-reason"],
        "detail": told["parked-detail"],
        "topic": told["parked-topic"],
        "partition": int(told["parked-partition"]),
        "offset": int(told["parked-offset"]),
        "attempts": int(told["parked-attempts"]),
        "at": datetime.fromisoformat(told["parked-at"]),
    }


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


class ParkedTail:
    """Reads what is parked and what goes back, each time on from where it was; keeps no key and no body."""

    def __init__(self, kafka: Kafka, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._admin = admin
        self._consumer = consumer
        self._positions: dict[TopicPartition, int] = {}

    @classmethod
    @asynccontextmanager
    async def of(cls, kafka: Kafka) -> AsyncIterator["ParkedTail"]:
        """For the length of the block; raises KafkaError where no broker answers."""
        async with asking(kafka) as (admin, consumer):
            yield cls(kafka, admin, consumer)

    async def more(self) -> AsyncIterator[ParkedSeen | SentBack]:
        """All that has come since it was asked last: first what is parked, then what was sent back. Raises KafkaError.

        In this order, since nothing is sent back that is not parked.
        """
        for ending in (_TOPIC, _WAY_BACK):
            async for record in self._new_of(ending):
                seen = _seen(record) if ending == _TOPIC else self._back(record)
                if seen is not None:
                    yield seen

    async def _new_of(self, ending: str) -> "AsyncIterator[ConsumerRecord[bytes, bytes]]":
        names = [name for name in await self._admin.list_topics() if self._is_ours(name, ending)]
        described = await self._admin.describe_topics(names) if names else []
        partitions = [
            TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"]
        ]
        await know_leaders(self._consumer, partitions)
        ends = await self._consumer.end_offsets(partitions)
        beginnings = await self._consumer.beginning_offsets([tp for tp in partitions if tp not in self._positions])
        at = {tp: max(beginnings.get(tp, 0), self._positions.get(tp, 0)) for tp in partitions}
        waiting = [tp for tp in partitions if at[tp] < ends[tp]]
        self._consumer.assign(waiting)
        for tp in waiting:
            self._consumer.seek(tp, at[tp])
        while waiting:
            came = await self._consumer.getmany(*waiting, timeout_ms=_WAIT_MS, max_records=_AT_ONCE)
            for records in came.values():
                for record in records:
                    yield record
            for tp in waiting:
                self._positions[tp] = await self._consumer.position(tp)
            waiting = [tp for tp in waiting if self._positions[tp] < ends[tp]]

    def _is_ours(self, name: str, ending: str) -> bool:
        return name.startswith(self._kafka.prefix) and name.endswith(ending) and self._kafka.logical(name) != ending

    def _back(self, record: "ConsumerRecord[bytes, bytes]") -> SentBack | None:
        told = _told(record)
        group = self._kafka.logical(record.topic).removesuffix(_WAY_BACK)
        where = _all_of(told, ("parked-topic", "parked-partition", "parked-offset"))
        return SentBack("/".join([group, *where]), record.timestamp / 1000) if where else None


def _all_of(told: dict[str, str], names: Iterable[str]) -> list[str]:
    """What is told under all of the names; nothing where one of them is missing."""
    found = [told.get(name, "") for name in names]
    return found if all(found) else []


def _seen(record: "ConsumerRecord[bytes, bytes]") -> ParkedSeen | None:
    told = _told(record)
    try:
        return ParkedSeen(**_facts(told), stamped=record.timestamp / 1000)
    except (LookupError, ValueError):
        # Not of our making: whoever may write there has.
        return None
