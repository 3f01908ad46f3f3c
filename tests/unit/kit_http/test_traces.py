"""Every request is a span, and what it causes hangs on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from shared.kit.auth import LocalKeys, TokenIssuer, TokenVerifier
from shared.kit.http import create_app
from shared.kit.liveness import Liveness, Readiness
from shared.kit.tracing import Tracer
from tests.collector import Collector, Seen, collecting

from .conftest import Client, Reply, Serve, _others, _routes

ID = "0190d0a0-0000-7000-8000-000000000001"
CLIENT = UUID("0190d0a0-0000-7000-8000-00000000000c")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRET = "hunter2"


@dataclass
class Asked:
    """What was answered, logged and recorded."""

    replies: dict[str, Reply]
    lines: list[Any]
    collector: Collector

    def span(self, name: str) -> Seen:
        (span,) = [span for span in self.collector.spans if span.name == name]
        return span


@pytest.fixture(scope="module")
async def asked(serve: Serve, issuer: TokenIssuer) -> AsyncIterator[Asked]:
    """A few requests, all that they leave behind."""
    token = {"Authorization": f"Bearer {issuer.issue(CLIENT, ['accounts:read'])}", "traceparent": PARENT}
    replies: dict[str, Reply] = {}
    with collecting() as collector, capture_logs(processors=[merge_contextvars]) as lines:
        async with Tracer("things", collector.url) as tracer:
            app = create_app(
                title="things",
                version="1",
                routers=[_routes(), _others()],
                liveness=Liveness(),
                readiness=Readiness(),
                verifier=TokenVerifier(LocalKeys(issuer.jwks())),
                tracer=tracer,
            )
            async with serve(app) as url, aiohttp.ClientSession() as session:
                ask = Client(session, url)
                replies["mine"] = await ask("GET", f"/mine?secret={SECRET}", headers={**token, "X-Request-Id": "r-1"})
                replies["thing"] = await ask("GET", f"/things/{ID}")
                replies["fails"] = await ask("GET", "/fails/unexpectedly")
                replies["nowhere"] = await ask("GET", f"/{SECRET}")
                for probe in ("/health/live", "/health/ready", "/metrics"):
                    await ask("GET", probe)
        yield Asked(replies, lines, collector)


async def test_a_request_is_a_span_of_its_callers_trace_and_what_it_causes_hangs_on_it(asked: Asked) -> None:
    span = asked.span("GET /mine")
    assert (span.kind, span.trace_id, span.parent_id, span.failed) == ("SERVER", TRACE, "00f067aa0ba902b7", False)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/mine",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/mine",
        "portfolio_bus.client_id": str(CLIENT),
        "portfolio_bus.correlation_id": "r-1",
    }
    assert asked.replies["mine"].body["traceparent"] == span.traceparent


async def test_a_request_without_a_context_begins_a_trace_under_the_name_of_its_route(asked: Asked) -> None:
    span = asked.span("GET /things/{thing_id}")
    assert (span.parent_id, span.attributes["url.path"]) == ("", f"/things/{ID}")


async def test_a_request_that_fails_on_our_side_is_a_span_that_has_failed(asked: Asked) -> None:
    span = asked.span("GET /fails/{how}")
    assert (span.failed, span.attributes["error.type"], span.attributes["http.response.status_code"]) == (
        True,
        "500",
        500,
    )


async def test_probes_are_no_spans_and_neither_queries_nor_unknown_paths_stand_in_any(asked: Asked) -> None:
    names = [span.name for span in asked.collector.spans]
    assert sorted(names) == ["GET", "GET /fails/{how}", "GET /mine", "GET /things/{thing_id}"]
    assert asked.span("GET").attributes["http.response.status_code"] == 404
    assert not [span for span in asked.collector.spans if SECRET in repr(span)]


async def test_the_log_lines_of_a_request_name_its_trace(asked: Asked) -> None:
    told = {line["route"]: line.get("trace_id") for line in asked.lines if line["event"] == "request"}
    assert told["/mine"] == TRACE
    assert told["/fails/{how}"] == asked.span("GET /fails/{how}").trace_id
    (fault,) = [line for line in asked.lines if line["event"] == "unexpected"]
    assert fault["trace_id"] == told["/fails/{how}"]
    assert told["/metrics"] is None
