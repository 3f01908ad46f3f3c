"""The envelope: CloudEvents 1.0 in Kafka's binary binding, with the project's extensions and `traceparent`.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from .unreadable import Unreadable, UnreadableEnvelope
from .values import as_utc, format_time, parse_time

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"

#: Header of each of Envelope's texts, and the most characters that its value may have.
_TEXTS: Final = (
    ("ce_id", 128),
    ("ce_type", 128),
    ("ce_source", 256),
    ("ce_subject", 256),
    ("ce_correlationid", 256),
    ("ce_causationid", 256),
)
_REQUIRED: Final = ("ce_specversion", "content-type", "ce_id", "ce_type", "ce_source", "ce_time", "ce_clientid")
_REQUIRED_SET: Final = frozenset(_REQUIRED)
_KNOWN: Final = _REQUIRED_SET | {"ce_subject", "ce_correlationid", "ce_causationid", "traceparent"}
_MAX_OTHER: Final = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_JSON = re.compile(r"application/json\s*(;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is known of a message besides its body.

    `id` is unique within `client_id` and `source`; `time` is when it happened, and the same in every copy;
    `correlation_id` is the request that it all began with, `causation_id` the message that caused this one.
    Raises UnreadableEnvelope when a value could not be read back from the headers.
    """

    id: str
    type: str
    source: str
    time: datetime
    client_id: UUID
    subject: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None

    def __post_init__(self) -> None:
        texts = (self.id, self.type, self.source, self.subject, self.correlation_id, self.causation_id)
        for text, (header, longest) in zip(texts, _TEXTS, strict=True):
            if text is not None:
                _check_text(header, text, longest)
        if self.traceparent is not None and not _is_traceparent(self.traceparent):
            raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, "header traceparent is not as in W3C Trace Context")
        if self.time.tzinfo is not UTC:
            try:
                object.__setattr__(self, "time", as_utc(self.time))
            except ValueError as error:
                raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, f"header ce_time: {error}") from error


def to_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The Kafka headers of an envelope; attributes that it does not have are left out."""
    headers = {
        "ce_specversion": SPEC_VERSION,
        "content-type": CONTENT_TYPE,
        "ce_id": envelope.id,
        "ce_type": envelope.type,
        "ce_source": envelope.source,
        "ce_time": format_time(envelope.time),
        "ce_subject": envelope.subject,
        "ce_clientid": str(envelope.client_id),
        "ce_correlationid": envelope.correlation_id,
        "ce_causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
    }
    return [(name, value.encode()) for name, value in headers.items() if value is not None]


def read_envelope(headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
    """Read the envelope from a record's headers; UnreadableEnvelope names the header that is wrong.

    Headers that the envelope does not know are ignored, except that every header must be UTF-8. A `traceparent` that is
    not valid is ignored too, as W3C Trace Context demands: a broken trace must not stop a message.
    """
    texts = _texts_of(headers)
    if not texts.keys() >= _REQUIRED_SET:
        missing = next(name for name in _REQUIRED if name not in texts)
        raise UnreadableEnvelope(Unreadable.MISSING_ATTRIBUTE, f"header {missing} is missing")
    _check_format(texts["ce_specversion"], texts["content-type"])
    traceparent = texts.get("traceparent")
    return Envelope(
        id=texts["ce_id"],
        type=texts["ce_type"],
        source=texts["ce_source"],
        time=_time_of(texts["ce_time"]),
        client_id=_client_of(texts["ce_clientid"]),
        subject=texts.get("ce_subject"),
        correlation_id=texts.get("ce_correlationid"),
        causation_id=texts.get("ce_causationid"),
        traceparent=traceparent if traceparent and _is_traceparent(traceparent) else None,
    )


def _texts_of(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The headers that the envelope knows, as texts."""
    given = list(headers)
    # Nearly every record has these headers and no others, each once, which is found out at a third of the cost.
    try:
        texts = {name: value.decode() for name, value in given}  # type: ignore[union-attr]  # None has its way below
    except (AttributeError, UnicodeDecodeError):
        return _texts_one_by_one(given)
    return texts if len(texts) == len(given) and texts.keys() <= _KNOWN else _texts_one_by_one(given)


def _texts_one_by_one(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in headers:
        if name not in _KNOWN:
            _check_decodes(name, value)
            continue
        text = _decoded_value(name, value)
        if name in texts:
            raise UnreadableEnvelope(Unreadable.DOUBLED_ATTRIBUTE, f"header {name} stands there more than once")
        texts[name] = text
    return texts


def _check_decodes(name: str, value: bytes | None) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnreadableEnvelope(Unreadable.NOT_UTF8_HEADER, f"the header name {name!a} is not UTF-8") from error
    _decoded_value(name, value)


def _decoded_value(name: str, value: bytes | None) -> str:
    try:
        return "" if value is None else value.decode()
    except UnicodeDecodeError as error:
        raise UnreadableEnvelope(Unreadable.NOT_UTF8_HEADER, f"header {name!a} is not UTF-8") from error


def _check_format(version: str, content_type: str) -> None:
    if version != SPEC_VERSION:
        _check_text("ce_specversion", version, _MAX_OTHER)
        raise UnreadableEnvelope(Unreadable.WRONG_VERSION, f"header ce_specversion is not {SPEC_VERSION}")
    if content_type != CONTENT_TYPE:
        _check_text("content-type", content_type, _MAX_OTHER)
        if not _JSON.fullmatch(content_type):
            raise UnreadableEnvelope(Unreadable.WRONG_CONTENT_TYPE, f"header content-type is not {CONTENT_TYPE}")


def _check_text(header: str, text: str, longest: int) -> None:
    # Nearly every text is plain, which is found out at a tenth of the cost.
    if 0 < len(text) <= longest and text.isascii() and text.isprintable():
        return
    if not text:
        raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, f"header {header} is empty")
    if len(text) > longest:
        raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, f"header {header} is longer than {longest} characters")
    if _CONTROL.search(text):
        raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, f"header {header} contains control characters")


def _is_traceparent(text: str) -> bool:
    return len(text) <= _MAX_OTHER and _TRACEPARENT.fullmatch(text) is not None


def _time_of(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        _check_text("ce_time", text, _MAX_OTHER)
        raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, f"header ce_time: {error}") from error


@lru_cache(maxsize=1024)
def _client_of(text: str) -> UUID:
    _check_text("ce_clientid", text, _MAX_OTHER)
    if not _UUID.fullmatch(text):
        raise UnreadableEnvelope(Unreadable.BAD_ATTRIBUTE, "header ce_clientid is not a UUID")
    return UUID(text)
