"""What an upstream service calls: `record_of` makes the record of a message, `read` reads whatever came.

Neither knows a Kafka client. A record is the name of a topic, two byte strings and a list of pairs, which is what the
clients for Python take and give, so the same two calls serve all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from .base import Message
from .envelope import Envelope, read_envelope
from .record import Record, new_envelope, read_body, to_record
from .replies import Reply

HeaderValue = str | bytes | None
#: As the clients for Python give them: pairs of a name and bytes, though the types of some allow for more.
Headers = Iterable[tuple[str, HeaderValue]] | Mapping[str, HeaderValue] | None


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message that came, with what is known of it besides its body."""

    message: Message
    envelope: Envelope


def record_of(
    message: Message,
    *,
    client_id: UUID,
    source: str,
    id: str | None = None,  # noqa: A002 - the attribute's name in CloudEvents
    key: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
) -> Record:
    """The record of a message that is sent now, with an id of its own unless it is given one.

    `source` names the sending program, such as `/my-service`. To repeat a message send its record again: it is known by
    client, source and id, has one effect, and a command has the same reply each time. `key` is for messages that leave
    it to their sender (RequestRebalancing without an id). The topic is the logical one, before which an installation
    may put a prefix. ValueError if the message may not have the key, UnreadableEnvelope if an attribute is malformed.
    """
    envelope = new_envelope(
        message,
        source=source,
        client_id=client_id,
        id=id,
        subject=message.key if key is None else key,
        correlation_id=correlation_id,
        traceparent=traceparent,
    )
    return to_record(message, envelope, key=key)


def read(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    *,
    prefix: str = "",
    keeps_copies: bool = False,
) -> ReadMessage:
    """Read one record, given as any Kafka client gives it; `prefix` is what the installation puts before its topics.

    A reader that keeps copies of state also reads types that it does not know, as the state of their topic. Raises
    UnreadableEnvelope or UnreadableBody, both UnreadableMessageError; UNKNOWN_TYPE among their reasons is a message
    newer than this version, and no error to a reader who does not want it.
    """
    envelope = read_envelope(_pairs(headers))
    message = read_body(envelope.type, topic.removeprefix(prefix), key, value, keeps_copies=keeps_copies)
    return ReadMessage(message=message, envelope=envelope)


def is_reply_to(command: Record, came: ReadMessage) -> bool:
    """Whether `came` is the reply to the command that was sent as this record.

    The topic of replies holds everybody's; a command is known by its client, its source and its id.
    """
    reply = came.message
    if not isinstance(reply, Reply):
        return False
    sent = read_envelope(command.headers)
    return (
        (came.envelope.client_id, reply.command_id, reply.command_type, reply.command_key.encode())
        == (sent.client_id, sent.id, sent.type, command.key)
        # Replies of earlier versions do not name the source.
        and reply.command_source in {None, sent.source}
    )


def _pairs(headers: Headers) -> Iterable[tuple[str, bytes | None]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return ((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)
