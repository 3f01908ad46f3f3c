"""Traces: off they are nothing at all; on they tell what they should, and hold up nobody."""

import ast
import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.kit.hops import Published
from shared.kit.producer import Headers
from shared.kit.tracing import CLOSES_WITHIN, Kind, Spans, Tracer, log_fields, sampled_trace_in
from tests.collector import Collector, collecting

ROOT = Path(__file__).parents[3]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@asynccontextmanager
async def tracing(collector: Collector, ratio: float = 1.0) -> AsyncIterator[Tracer]:
    """A tracer whose spans have all been sent behind the block."""
    async with Tracer("a_service", collector.url, ratio) as tracer:
        yield tracer


async def test_a_span_is_sent_with_its_parent_its_kind_its_times_and_what_is_noted_of_it(collector: Collector) -> None:
    since = datetime.now(UTC) - timedelta(seconds=3)
    async with tracing(collector) as tracer:
        first = tracer.span(Kind.SERVER, "GET", PARENT, {"one": 1, "none": None})
        second = tracer.span(Kind.PRODUCER, "send it", first.traceparent, {}, since=since)
        first.name("GET /things")
        first.note({"two": "2", "left_out": None})
        first.end()
        second.fail("refused")
        second.end()

    seen, caused = sorted(collector.spans, key=lambda span: span.name)
    assert (seen.service, seen.name, seen.kind, seen.failed) == ("a_service", "GET /things", "SERVER", False)
    assert (seen.trace_id, seen.parent_id) == (TRACE, "00f067aa0ba902b7")
    assert seen.traceparent == first.traceparent
    assert seen.attributes == {"one": 1, "two": "2"}
    assert (caused.trace_id, caused.parent_id, caused.kind) == (TRACE, seen.span_id, "PRODUCER")
    assert (caused.failed, caused.attributes) == (True, {"error.type": "refused"})
    assert abs(caused.start / 1e9 - since.timestamp()) < 1e-6
    assert caused.end - caused.start >= 3e9


@pytest.mark.parametrize(
    "parent",
    [None, "", "?", f"ff{PARENT[2:]}", f"00-{'0' * 32}-00f067aa0ba902b7-01", PARENT.upper(), PARENT[1:]],
)
async def test_what_has_no_context_that_can_be_read_begins_a_trace_of_its_own(
    collector: Collector, parent: str | None
) -> None:
    async with tracing(collector) as tracer:
        tracer.span(Kind.SERVER, "GET", parent, {}).end()

    (seen,) = collector.spans
    assert seen.parent_id == ""
    assert seen.trace_id != TRACE


async def test_of_the_traces_that_begin_here_a_share_is_recorded_and_the_others_are_handed_on_as_such(
    collector: Collector,
) -> None:
    async with tracing(collector, ratio=0.5) as tracer:
        begun = [tracer.span(Kind.SERVER, "GET", None, {}) for _ in range(400)]
        caused = [tracer.span(Kind.CONSUMER, "process", span.traceparent, {}) for span in begun]
        for span in [*begun, *caused]:
            span.end()

    recorded = [span for span in begun if span.trace_id]
    assert 120 < len(recorded) < 280
    assert len(collector.spans) == 2 * len(recorded), "a trace is recorded whole or not at all"
    assert all((span.traceparent or "").startswith("00-") for span in begun)


async def test_the_callers_word_counts_whatever_the_ratio(collector: Collector) -> None:
    async with tracing(collector, ratio=0.0) as none, tracing(collector, ratio=1.0) as all_of_them:
        none.span(Kind.SERVER, "recorded", PARENT, {}).end()
        none.span(Kind.SERVER, "not ours to begin", None, {}).end()
        unrecorded = all_of_them.span(Kind.SERVER, "not recorded", UNSAMPLED, {})
        unrecorded.end()

    assert [span.name for span in collector.spans] == ["recorded"]
    assert (unrecorded.traceparent or "").startswith(f"00-{TRACE}-")
    assert (unrecorded.trace_id, unrecorded.log_fields()) == (None, {})


def test_log_lines_name_a_trace_only_where_it_is_recorded() -> None:
    assert log_fields(PARENT) == {"trace_id": TRACE}
    assert [log_fields(each) for each in (UNSAMPLED, None, "?")] == [{}, {}, {}]
    assert sampled_trace_in(f"cc-{TRACE}-00f067aa0ba902b7-03-of-a-later-version") == TRACE


async def test_spans_end_together_and_have_failed_where_the_block_has(collector: Collector) -> None:
    async with tracing(collector) as tracer:
        with Spans() as well:
            well.add(tracer.span(Kind.CONSUMER, "well", None, {}))
            well.add(tracer.span(Kind.CONSUMER, "well", None, {}))
        failing = Spans()
        failing.add(tracer.span(Kind.CONSUMER, "failing", None, {}))
        with pytest.raises(LookupError), failing:
            raise LookupError

    ended = {span.end for span in collector.spans if span.name == "well"}
    (failed,) = [span for span in collector.spans if span.name == "failing"]
    assert len(ended) == 1
    assert (failed.failed, failed.attributes) == (True, {"error.type": "LookupError"})


async def test_a_message_of_a_recorded_trace_goes_out_under_its_own_hop_and_others_as_they_are(
    collector: Collector,
) -> None:
    sent: list[tuple[str, int, str, bytes, Headers]] = []

    def send(topic: str, partition: int, key: str, value: bytes, headers: Headers) -> None:
        sent.append((topic, partition, key, value, headers))

    written = datetime.now(UTC) - timedelta(seconds=2)
    traced: Headers = {"ce_id": "m", "ce_time": written.isoformat(), "ce_correlationid": "c", "traceparent": PARENT}
    others: list[Headers] = [{"ce_id": "n", "traceparent": UNSAMPLED}, {"ce_id": "o"}]
    async with tracing(collector) as tracer:
        with Published(tracer, send) as published:
            for headers in [traced, *others]:
                published.send("p.orders.events.v1", 3, "key", b"{}", headers)

    (seen,) = collector.spans
    assert sent == [
        ("p.orders.events.v1", 3, "key", b"{}", {**traced, "traceparent": seen.traceparent}),
        ("p.orders.events.v1", 3, "key", b"{}", others[0]),
        ("p.orders.events.v1", 3, "key", b"{}", others[1]),
    ]
    assert (seen.name, seen.kind, seen.parent_id) == ("send p.orders.events.v1", "PRODUCER", "00f067aa0ba902b7")
    assert seen.end - seen.start >= 2e9, "the wait in the outbox is part of it"
    assert seen.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "p.orders.events.v1",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.message.key": "key",
        "messaging.message.id": "m",
        "messaging.message.conversation_id": "c",
    }


@pytest.fixture(params=["nobody listens", "nobody answers"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a collector that is away, in one way or another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if request.param == "nobody listens":
            listener.close()
        yield f"http://127.0.0.1:{port}/v1/traces"


async def test_a_collector_that_is_away_slows_nothing_and_holds_up_no_end(away: str) -> None:
    tracer = Tracer("a_service", away)
    tracer.open()
    loop, late = asyncio.get_running_loop(), [0.0]
    began = time.perf_counter()
    for _ in range(30):
        with Spans() as spans:
            for _ in range(400):
                spans.add(tracer.span(Kind.CONSUMER, "process", PARENT, {}))
        turn = loop.time()
        await asyncio.sleep(0)
        late.append(loop.time() - turn)
    each = (time.perf_counter() - began) / 12_000
    closing = time.perf_counter()
    await tracer.close()

    assert each < 0.001, "no span waits for the collector"
    assert max(late) < 0.5
    assert time.perf_counter() - closing < CLOSES_WITHIN + 1


def test_nothing_that_makes_or_sends_traces_is_imported_while_they_are_off() -> None:
    # Of OpenTelemetry there is its API at most, which FastAPI imports by itself.
    program = """
import sys
from importlib import import_module
from services.order_service import settings, __main__
needed = dict(database_url="postgresql://u:p@127.0.0.1:1/d", kafka="127.0.0.1:1", issuer_url="http://127.0.0.1:1")
build = import_module("services.order_service.app").build
import services.config_service.app, services.webhook_dispatcher.app
makes_or_sends = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf")
imported = lambda: [name for name in sys.modules if name.startswith(makes_or_sends)]
assert build(settings.Settings(**needed)).tracer is None
assert imported() == []
tracer = build(settings.Settings(**needed, traces_url="http://127.0.0.1:1/v1/traces")).tracer
assert imported() == [], "only what runs needs it"
tracer.open()
assert "opentelemetry.sdk.trace" in imported()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_but_the_kits_tracing_knows_opentelemetry() -> None:
    knowing = {
        path.relative_to(ROOT).as_posix()
        for folder in ("services", "shared", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if "opentelemetry" in path.read_text() and _imports(path, "opentelemetry")
    }
    assert knowing == {"shared/kit/tracing.py"}


def _imports(path: Path, library: str) -> bool:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return any(name.partition(".")[0] == library for name in names)
