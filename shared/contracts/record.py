"""Records: a message and its envelope as the key, value and headers that Kafka carries, and back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from .base import Command, Message
from .catalogue import MESSAGES, state_of
from .envelope import Envelope, read_envelope, to_headers
from .identifiers import new_id
from .json_keys import repeated_key
from .replies import FieldError
from .topics import MAX_MESSAGE_BYTES
from .unreadable import Unreadable, UnreadableBody

#: A compressed record may pass the broker's bound and still unpack to far more than this.
MAX_BODY_BYTES: Final = MAX_MESSAGE_BYTES
_MAX_ERRORS: Final = 100
_MAX_LOCATION: Final = 256
_MAX_ERROR_TEXT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a topic, whose name is the logical one, without an installation's prefix."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def new_envelope(
    message: Message,
    *,
    source: str,
    client_id: UUID,
    id: str | None = None,  # noqa: A002 - the attribute's name in CloudEvents
    time: datetime | None = None,
    subject: str | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    traceparent: str | None = None,
) -> Envelope:
    """An envelope for a message that happens now, with an id of its own, unless told otherwise."""
    return Envelope(
        id=id if id is not None else str(new_id()),
        type=type(message).__name__,
        source=source,
        time=time if time is not None else datetime.now(UTC),
        client_id=client_id,
        subject=subject,
        correlation_id=correlation_id,
        causation_id=causation_id,
        traceparent=traceparent,
    )


def to_record(message: Message, envelope: Envelope, *, key: str | None = None) -> Record:
    """The record of a message; `key` is for messages that leave it to their sender (RequestRebalancing without an id).

    ValueError if the envelope is for another type, or the key is not one that the message may have.
    """
    if envelope.type != type(message).__name__:
        error = f"an envelope for {envelope.type} cannot carry {type(message).__name__}"
        raise ValueError(error)
    raw = (message.key if key is None else key).encode()
    if not message.accepts_key(raw):
        error = f"{type(message).__name__} cannot have the key {key!r}"
        raise ValueError(error)
    return Record(
        topic=message.topic.name, key=raw, value=message.model_dump_json().encode(), headers=to_headers(envelope)
    )


def from_record(record: Record, *, keeps_copies: bool = False) -> tuple[Envelope, Message]:
    """Read a record whole; raises UnreadableEnvelope or UnreadableBody."""
    envelope = read_envelope(record.headers)
    return envelope, read_body(envelope.type, record.topic, record.key, record.value, keeps_copies=keeps_copies)


def read_body(
    envelope_type: str, topic_name: str, key: bytes | None, value: bytes | None, *, keeps_copies: bool = False
) -> Message:
    """Read the message of a record whose envelope was read; `topic_name` is logical, and the origin's for a redrive.

    A reader that keeps copies of state reads a type that it does not know as the whole state that every event on that
    compacted topic carries. Raises UnreadableBody.
    """
    message_class = _class_of(envelope_type, topic_name, keeps_copies=keeps_copies)
    if value is None:
        raise UnreadableBody(Unreadable.NULL_VALUE, "the record has no value")
    if len(value) > MAX_BODY_BYTES:
        raise UnreadableBody(Unreadable.TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes")
    message = _parsed(message_class, value)
    if key is None or not message.accepts_key(key):
        raise UnreadableBody(
            Unreadable.KEY_MISMATCH,
            f"the record's key is not the body's {message.key_field} in canonical form",
            (FieldError(location=message.key_field, message="does not match the record's key"),),
        )
    return message


def _class_of(envelope_type: str, topic_name: str, *, keeps_copies: bool) -> type[Message]:
    known = MESSAGES.get(envelope_type)
    if known is None:
        state = state_of(topic_name) if keeps_copies else None
        if state is None:
            raise UnreadableBody(Unreadable.UNKNOWN_TYPE, f"the type {envelope_type!a} is not known")
        return state
    if known.topic.name != topic_name:
        raise UnreadableBody(
            Unreadable.WRONG_TOPIC, f"{envelope_type} belongs on {known.topic.name}, not on {topic_name}"
        )
    return known


def _parsed(message_class: type[Message], value: bytes) -> Message:
    try:
        if b"NaN" in value or b"Infinity" in value:
            # pydantic lets these pass in fields that it ignores; they are not JSON, and jsonb does not take them.
            from_json(value, allow_inf_nan=False)
        message = message_class.model_validate_json(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            raise UnreadableBody(Unreadable.NOT_JSON, _clean(details[0]["msg"])) from error
        raise UnreadableBody(
            Unreadable.INVALID_BODY,
            f"the body is no {message_class.__name__}",
            tuple(_field_error(detail) for detail in details[:_MAX_ERRORS]),
        ) from error
    except ValueError as error:
        raise UnreadableBody(Unreadable.NOT_JSON, f"Invalid JSON: {_clean(str(error))}") from error
    # What happened is read with tolerance; what is asked for must not depend on whose reader it meets.
    if isinstance(message, Command):
        _refuse_repeated_keys(message_class, value)
    return message


def _refuse_repeated_keys(message_class: type[Message], value: bytes) -> None:
    repeated = repeated_key(value)
    if repeated is not None:
        location = _clean(".".join(str(step) for step in repeated))[:_MAX_LOCATION]
        raise UnreadableBody(
            Unreadable.INVALID_BODY,
            f"the body is no {message_class.__name__}",
            (FieldError(location=location or "body", message="stands there more than once"),),
        )


def _field_error(detail: ErrorDetails) -> FieldError:
    location = ".".join(str(step) for step in detail["loc"]) or "body"
    return FieldError(location=_clean(location)[:_MAX_LOCATION], message=_clean(detail["msg"]))


def _clean(text: str) -> str:
    """What a sender named a field may be long and hold any character, and must not break the answer to it."""
    shown = text[:_MAX_ERROR_TEXT].encode("utf-8", "replace").decode()
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
