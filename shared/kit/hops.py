"""The hops of a message through Kafka, as spans: from the outbox to its readers, and what a consumer does with it.

Names and attributes follow OpenTelemetry's semantic conventions for messaging. A message takes the context of its last
hop along, so that whatever comes of it hangs on that.

https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from aiokafka import ConsumerRecord

from shared.contracts import parse_time

from .producer import Headers
from .received import Origin, Taken, UnreadableRecord
from .tracing import Attributes, Kind, Span, Spans, Tracer, sampled_trace_in


class Send(Protocol):
    """What puts a message on its way."""

    def __call__(self, topic: str, partition: int, key: str, value: bytes, headers: Headers) -> None:
        """Behind those that were put on their way before."""


class Published(Spans):
    """The messages of a relay's batch that belong to recorded traces, each since it was written to the outbox."""

    def __init__(self, tracer: Tracer, send: Send) -> None:
        #: `send` puts a message on its way
        super().__init__()
        self._tracer = tracer
        self._send = send

    def send(self, topic: str, partition: int, key: str, value: bytes, headers: Headers) -> None:
        """Put a message on its way, under the context of its own hop."""
        parent = headers.get("traceparent")
        if parent is not None and sampled_trace_in(parent):
            attributes: Attributes = {
                **_of_kafka("send", topic, partition, key),
                "messaging.message.id": headers.get("ce_id"),
                "messaging.message.conversation_id": headers.get("ce_correlationid"),
            }
            since = _time(headers.get("ce_time"))
            span = self._tracer.span(Kind.PRODUCER, f"send {topic}", parent, attributes, since=since)
            self.add(span)
            headers = {**headers, "traceparent": span.traceparent or parent}
        self._send(topic, partition, key, value, headers)


class Handled(Spans):
    """The messages of a consumer's batch, each from the beginning of the batch to its commit."""

    def __init__(self, tracer: Tracer, group: str) -> None:
        super().__init__()
        self._tracer = tracer
        self._group = group
        self._of: dict[Origin, Span] = {}

    def begin(self, item: Taken) -> Taken:
        """The message, so that what it causes carries the context of its handling; what is unreadable has none."""
        if isinstance(item, UnreadableRecord):
            return item
        record: ConsumerRecord[bytes, bytes] = item.record
        attributes: Attributes = {
            **_of_kafka("process", record.topic, record.partition, _text(record.key)),
            "messaging.consumer.group.name": self._group,
            "messaging.kafka.offset": record.offset,
            "messaging.message.id": item.envelope.id,
            "messaging.message.conversation_id": item.envelope.correlation_id,
        }
        span = self._tracer.span(Kind.CONSUMER, f"process {record.topic}", item.envelope.traceparent, attributes)
        self.add(span)
        self._of[item.origin] = span
        return replace(item, envelope=replace(item.envelope, traceparent=span.traceparent))

    def fail(self, origin: Origin, reason: str) -> None:
        """The message that stood there is parked for this reason."""
        if span := self._of.get(origin):
            span.fail(reason)

    def log_fields(self) -> dict[str, str]:
        """The trace of the whole batch, for its log lines, where there is only one."""
        traces = {span.trace_id for span in self._of.values()}
        return next(iter(self._of.values())).log_fields() if len(traces) == 1 else {}


def _of_kafka(operation: str, topic: str, partition: int, key: str | None) -> Attributes:
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.message.key": key,
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _time(value: str | None) -> datetime | None:
    with suppress(ValueError):
        return parse_time(value or "")
    return None
