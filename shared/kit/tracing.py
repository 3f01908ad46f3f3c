"""OpenTelemetry traces, sent over OTLP/HTTP where the process is told an address; nothing else knows the library.

A context travels as the text of W3C Trace Context's `traceparent`, in headers, envelopes and tables. What has one is
decided on by whoever began the trace; what has none begins a trace of its own, by the ratio. Nothing is imported before
a tracer is opened, and whoever has no tracer has nothing to do.

https://www.w3.org/TR/trace-context/
"""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

Attributes = Mapping[str, str | int | None]

#: spans that wait to be sent, at most: some 20 MB; while the collector is away the oldest are dropped
_WAITING: Final = 10_000
_SENT_AT_ONCE: Final = 512
_EVERY_MS: Final = 1000
#: how long the collector may take to accept what is sent, in seconds
_ACCEPTS_WITHIN: Final = 5.0
#: how long a process that is stopped waits for the last spans to be sent, in seconds
CLOSES_WITHIN: Final = 3.0
_LONGEST_VALUE: Final = 512

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(-[ -~]*)?"
)
_SAMPLED: Final = 1


class Kind(StrEnum):
    """What a span is to the one before it."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


def sampled_trace_in(traceparent: str | None) -> str | None:
    """The id of the trace, in hexadecimal, where it is being recorded; None for anything else."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return found["trace"] if found and int(found["flags"], 16) & _SAMPLED else None


def log_fields(traceparent: str | None) -> dict[str, str]:
    """What log lines say of a trace: its id, where anybody would find it."""
    trace_id = sampled_trace_in(traceparent)
    return {"trace_id": trace_id} if trace_id else {}


class Span:
    """A piece of work under way; of a trace that is not recorded it has the context and nothing else."""

    def __init__(self, span: "trace.Span", parent: str | None) -> None:
        context = span.get_span_context()
        self._span = span
        #: what is caused by this carries it
        self.traceparent = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
            if context.is_valid
            else parent
        )

    @property
    def trace_id(self) -> str | None:
        """None where the trace is not recorded."""
        return sampled_trace_in(self.traceparent)

    def log_fields(self) -> dict[str, str]:
        """What log lines say of it."""
        return log_fields(self.traceparent)

    def name(self, name: str) -> None:
        """Name it by what is known only now."""
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        """Add what is known of it; None is left out."""
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def fail(self, reason: str) -> None:
        """It has come to nothing, for a reason of which there are few (OpenTelemetry's `error.type`)."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 -- loaded by now; not where traces are off

        self._span.set_attribute("error.type", reason)
        self._span.set_status(StatusCode.ERROR)

    def end(self, at: int | None = None) -> None:
        """It is over, now or `at` nanoseconds since 1970."""
        self._span.end(at)


class Spans:
    """Spans that end together when the block does; failed where it raises."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, span: Span) -> None:
        """One more."""
        self._spans.append(span)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        now = time.time_ns()
        for span in self._spans:
            if kind is not None:
                span.fail(kind.__name__)
            span.end(now)


class Tracer:
    """Makes the spans of one process and sends them, in a thread of its own, as far as they are taken."""

    def __init__(self, service: str, url: str, ratio: float = 1.0) -> None:
        #: `url` takes OTLP over HTTP; of the traces that begin here, `ratio` are recorded
        self._service = service
        self._url = url
        self._ratio = ratio
        self._provider: TracerProvider | None = None
        self._exporter: SpanExporter | None = None
        self._tracer: trace.Tracer | None = None

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def open(self) -> None:
        """Load the library; nothing is dialled before there is something to send."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- where on
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- only where traces are on
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415 -- only where traces are on
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- only where traces are on
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415 -- only where on

        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(self._ratio)),
            resource=Resource(
                {
                    "service.namespace": "portfolio-bus",
                    "service.name": self._service,
                    "service.instance.id": str(uuid4()),
                }
            ),
            # It would wait for half a minute, and `close` for less.
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=_LONGEST_VALUE),
        )
        self._exporter = OTLPSpanExporter(endpoint=self._url, timeout=_ACCEPTS_WITHIN)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_WAITING,
                schedule_delay_millis=_EVERY_MS,
                max_export_batch_size=_SENT_AT_ONCE,
                export_timeout_millis=1000 * _ACCEPTS_WITHIN,
            )
        )
        self._tracer = self._provider.get_tracer("portfolio_bus")

    def span(
        self,
        kind: Kind,
        name: str,
        parent: str | None,
        attributes: Attributes,
        *,
        since: datetime | None = None,
    ) -> Span:
        """A span that has begun now or at `since`, under `parent` (a `traceparent`), else of a trace of its own."""
        if self._tracer is None:
            raise RuntimeError("the tracer is not open")
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 -- loaded by now; not where traces are off

        span = self._tracer.start_span(
            name,
            context=_context_of(parent),
            kind=SpanKind[kind.value],
            attributes={name: value for name, value in attributes.items() if value is not None},
            start_time=None if since is None else _nanoseconds(since),
        )
        return Span(span, parent)

    async def close(self) -> None:
        """Send what is left, as long as that takes no longer than it may."""
        provider, self._provider = self._provider, None
        if provider is None or self._exporter is None:
            return
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
                loop.call_soon_threadsafe(sent.set)

        # A thread that keeps no process from ending.
        Thread(target=send, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSES_WITHIN):
                await sent.wait()
        except TimeoutError:
            self._exporter.shutdown()  # no further attempt


def _context_of(parent: str | None) -> "Context":
    from opentelemetry.context import Context  # noqa: PLC0415 -- loaded by now; not where traces are off
    from opentelemetry.trace import (  # noqa: PLC0415 -- as above
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    found = _TRACEPARENT.fullmatch(parent or "")
    if found is None:
        return Context()
    flags = TraceFlags(int(found["flags"], 16) & _SAMPLED)
    context = SpanContext(int(found["trace"], 16), int(found["span"], 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(context), Context())


def _nanoseconds(moment: datetime) -> int:
    # A float of seconds has not as many digits.
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
