"""Parked messages: what a consumer could not take, with the reason and where it came from, and the way back (P7).

A message is parked as it was: its key, value and headers, with `parked-…` headers beside them. One that is too large
for the parked topic in one piece is parked in parts, each with the same `parked-id`, so that none of it is lost.
Redriving sends it to `<group>.redrive.v1`, which only that group reads: back in the origin it would be the newest
record of its key for everybody.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from shared.contracts import parked_topic

from .kafka import MAX_REQUEST_BYTES, Kafka
from .received import PARKED_PREFIX, Origin

#: room for the protocol's own bytes and the parked headers
_WHOLE_BYTES = MAX_REQUEST_BYTES - 64 * 1024
_PART_BYTES = MAX_REQUEST_BYTES // 2

_log = structlog.get_logger("parking")


@dataclass(frozen=True)
class Parked:
    """Why a record is parked."""

    origin: Origin
    reason: str
    detail: str
    attempts: int = 1


class Parking:
    """Writes one group's parked messages; its producer starts with the first of them."""

    def __init__(self, kafka: Kafka, group: str) -> None:
        self._kafka = kafka
        self._group = group
        self._producer: AIOKafkaProducer | None = None
        #: how many messages were parked, by reason
        self.counts: dict[str, int] = {}

    async def park(self, record: "ConsumerRecord[bytes, bytes]", parked: Parked) -> None:
        """Keep `record` in the parked topic; returns once Kafka has it."""
        producer = await self._started()
        topic = self._kafka.physical(parked_topic(self._group).name)
        try:
            for key, value, headers in _pieces(record, self._headers(parked)):
                await producer.send_and_wait(topic, key=key, value=value, headers=headers)
        except KafkaError:
            # A producer that has met a fatal error repeats it for ever.
            await self.close()
            raise
        self.counts[parked.reason] = self.counts.get(parked.reason, 0) + 1
        _log.error(
            "message parked",
            group=self._group,
            reason=parked.reason,
            detail=parked.detail,
            topic=parked.origin.topic,
            partition=parked.origin.partition,
            offset=parked.origin.offset,
            attempts=parked.attempts,
        )

    async def close(self) -> None:
        """Stop the producer, if one was needed."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = self._kafka.producer()
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    def _headers(self, parked: Parked) -> list[tuple[str, bytes]]:
        origin = parked.origin
        told = {
            "parked-id": f"{self._group}/{origin.topic}/{origin.partition}/{origin.offset}",
            "parked-group": self._group,
            "parked-topic": origin.topic,
            "parked-partition": str(origin.partition),
            "parked-offset": str(origin.offset),
            "parked-reason": parked.reason,
            "parked-detail": parked.detail[:1000],
            "parked-attempts": str(parked.attempts),
            "parked-at": datetime.now(UTC).isoformat(),
        }
        return [(name, value.encode("utf-8", "replace")) for name, value in told.items()]


Piece = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


def original_headers(record: "ConsumerRecord[bytes, bytes]") -> list[tuple[str, bytes]]:
    """The headers that the message came with, before it was parked."""
    return [(name, value) for name, value in record.headers if not name.startswith(PARKED_PREFIX)]


def _pieces(record: "ConsumerRecord[bytes, bytes]", told: Sequence[tuple[str, bytes]]) -> list[Piece]:
    kept = original_headers(record)
    size = len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v or b"") for n, v in kept)
    if size <= _WHOLE_BYTES:
        return [(record.key, record.value, [*kept, *told])]
    whole = _archived(record.key, record.value, kept)
    parts = [whole[start : start + _PART_BYTES] for start in range(0, len(whole), _PART_BYTES)]
    # One key for all parts, so that they stand in one partition in their order.
    key = dict(told)["parked-id"]
    return [(key, part, [*told, ("parked-part", f"{n}/{len(parts)}".encode())]) for n, part in enumerate(parts, 1)]


def _archived(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> bytes:
    def text(raw: bytes | None) -> str | None:
        return None if raw is None else base64.b64encode(raw).decode()

    return orjson.dumps(
        {"key": text(key), "value": text(value), "headers": [[name, text(content)] for name, content in headers]}
    )


def restored(parts: Sequence[bytes]) -> Piece:
    """The message that was parked in `parts` (in their order): key, value and headers."""

    def raw(encoded: str | None) -> bytes | None:
        return None if encoded is None else base64.b64decode(encoded)

    archive = orjson.loads(b"".join(parts))
    return (
        raw(archive["key"]),
        raw(archive["value"]),
        [(name, raw(content) or b"") for name, content in archive["headers"]],
    )
