"""A record as a consumer takes it up: read, refusable, or unreadable.

Nothing here raises for a bad record: what cannot be read is a value with a reason, so that it can be parked (P7).
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiokafka import ConsumerRecord

from shared.contracts import (
    MESSAGES,
    Command,
    Envelope,
    Message,
    UnreadableBody,
    UnreadableEnvelope,
    read_body,
    read_envelope,
    reply_key,
)

from .cause import Cause
from .refusals import FieldError, InvalidRequest, Refused

M_co = TypeVar("M_co", bound=Message, covariant=True)

#: what the kit adds to a message that it parks, and takes off again when it is redriven
PARKED_PREFIX = "parked-"
_REDRIVE = ".redrive.v1"


@dataclass(frozen=True)
class Origin:
    """Where a record stood when it was first read; a redriven one keeps its first place."""

    topic: str
    partition: int
    offset: int


class LostKey(str):
    """The key of a record that cannot be read: what is known of it can no longer be trusted."""

    __slots__ = ("origin", "reason")
    #: where the record stood, its topic above all: a key can be lost on one and sound on another
    origin: Origin
    reason: str

    @classmethod
    def of(cls, key: str, origin: Origin, reason: str) -> "LostKey":
        """The key with what is known of its record."""
        lost = cls(key)
        lost.origin, lost.reason = origin, reason
        return lost


@dataclass(frozen=True)
class Received(Generic[M_co]):
    """A message that was understood."""

    body: M_co
    envelope: Envelope
    origin: Origin
    record: "ConsumerRecord[bytes, bytes]"

    @property
    def cause(self) -> Cause:
        """What this message causes carries its correlation, and its id as the causation."""
        return _cause_of(self.envelope)


@dataclass(frozen=True)
class BadCommand:
    """A command whose envelope says who asks, and whose body is wrong: it is answered, not parked."""

    envelope: Envelope
    refusal: Refused
    origin: Origin
    record: "ConsumerRecord[bytes, bytes]"

    @property
    def cause(self) -> Cause:
        """As of a message that was understood."""
        return _cause_of(self.envelope)


@dataclass(frozen=True)
class UnreadableRecord:
    """A record that nobody can act on, with the reason for the person who will look at it."""

    record: "ConsumerRecord[bytes, bytes]"
    origin: Origin
    reason: str
    detail: str

    @property
    def key(self) -> str | None:
        """The key as text, where it is some: the copy of that key can no longer be trusted."""
        return _text(self.record.key)


Taken = Received[Any] | BadCommand | UnreadableRecord


def read(record: "ConsumerRecord[bytes, bytes]", logical_topic: str, *, keeps_copies: bool) -> Taken:
    """Read one record of the topic that the contract calls `logical_topic`."""
    redriven = logical_topic.endswith(_REDRIVE)
    origin = _origin_of(record) if redriven else None
    origin = origin or Origin(logical_topic, record.partition, record.offset)
    try:
        envelope = read_envelope(_without_parking(record.headers) if redriven else record.headers)
    except UnreadableEnvelope as fault:
        return UnreadableRecord(record, origin, fault.reason, str(fault))
    try:
        body = read_body(envelope.type, origin.topic, record.key, record.value, keeps_copies=keeps_copies)
    except UnreadableBody as fault:
        return _bad_command(record, origin, envelope, fault) or UnreadableRecord(
            record, origin, fault.reason, str(fault)
        )
    return Received(body, envelope, origin, record)


def _bad_command(
    record: "ConsumerRecord[bytes, bytes]", origin: Origin, envelope: Envelope, fault: UnreadableBody
) -> BadCommand | None:
    kind = MESSAGES.get(envelope.type)
    if kind is None or not issubclass(kind, Command) or kind.topic.name != origin.topic:
        return None
    if reply_key(record.key) is None:
        return None
    errors = [FieldError(error.location, error.message) for error in fault.errors]
    return BadCommand(envelope, InvalidRequest(str(fault), errors=errors), origin, record)


def _text(key: bytes | None) -> str | None:
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None


def _cause_of(envelope: Envelope) -> Cause:
    return Cause(envelope.client_id, envelope.correlation_id or envelope.id, envelope.id, envelope.traceparent)


def _origin_of(record: "ConsumerRecord[bytes, bytes]") -> Origin | None:
    """Where a redriven record stood at first; None where it does not say so."""
    parked = {name: value for name, value in record.headers if name.startswith(PARKED_PREFIX)}
    # Whoever may write to that topic may have written anything there.
    with suppress(KeyError, ValueError):
        topic, partition, offset = (parked[f"{PARKED_PREFIX}{name}"] for name in ("topic", "partition", "offset"))
        return Origin(topic.decode(), int(partition), int(offset))
    return None


def _without_parking(headers: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in headers if not name.startswith(PARKED_PREFIX)]
