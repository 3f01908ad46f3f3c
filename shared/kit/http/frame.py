"""The outermost layer of every request: its id, its log context, its one log line, and the last net for faults."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from shared.kit.allowances import Allowed
from shared.kit.logs import get_logger
from shared.kit.tracing import Kind, Span, Tracer

from .headers import REQUEST_ID, TRACEPARENT, header_in, taken_or_made_request_id
from .metrics import METHODS, Traffic
from .problems import problem_for

log = get_logger(__name__)

#: what is asked every few seconds for ever
_PROBES: Final = ("/health/", "/metrics")
_UNMATCHED: Final = "unmatched"


class RequestFrame:
    """Names each request, and turns whatever escapes the application into a problem document."""

    def __init__(self, app: ASGIApp, traffic: Traffic, tracer: Tracer | None = None) -> None:
        """Put the frame around `app`, and count and time in `traffic` what goes through it; `tracer` records it."""
        self._app = app
        self._traffic = traffic
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = taken_or_made_request_id(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id, scope["state"])
        began = time.perf_counter()
        span = None if self._tracer is None else _span_of(self._tracer, scope)
        with bound_contextvars(request_id=request_id, correlation_id=request_id, **(span.log_fields() if span else {})):
            try:
                await self._with_a_net(scope, receive, answer)
            finally:
                seconds = time.perf_counter() - began
                self._traffic.note(scope["method"], _template_of(scope), answer.status, seconds)
                _tell(scope, answer.status, 1000 * seconds)
                if span is not None:
                    _end(span, scope, answer.status)

    async def _with_a_net(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            await self._app(scope, receive, answer.send)
        except Exception as fault:
            problem = problem_for(scope, fault)
            if answer.status is not None:
                # Half an answer is out: only cutting the connection tells the caller that it is not whole.
                raise
            await problem(scope, receive, answer.send)


class _Answer:
    """The answer on its way out: marked with the request id and the client's allowance, its status remembered."""

    def __init__(self, send: Send, request_id: str, state: Mapping[str, Any]) -> None:
        self.status: int | None = None
        self._send = send
        self._state = state
        self._header = (REQUEST_ID, request_id.encode("ascii"))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            allowed: Allowed | None = self._state.get("allowed")
            headers = [*message.get("headers", ()), self._header, *(allowed.as_headers() if allowed else ())]
            if self.status == HTTPStatus.NO_CONTENT:
                # FastAPI names a type even where there is no content.
                headers = [header for header in headers if header[0] != b"content-type"]
            message = {**message, "headers": headers}
        await self._send(message)


def _tell(scope: Scope, status: int | None, milliseconds: float) -> None:
    template = _template_of(scope)
    principal = scope["state"].get("principal")
    # Probes come every few seconds for ever and say nothing while all is well; so do the files of a page.
    quiet = scope["state"].get("quiet") or template.startswith(_PROBES)
    write = log.debug if quiet else log.info
    write(
        "request",
        method=scope["method"],
        route=template,
        status=status,
        ms=round(milliseconds, 2),
        client_id=None if principal is None else str(principal.client_id),
    )


def _template_of(scope: Scope) -> str:
    # The route itself knows only the part of its path below the router's prefix; FastAPI's context has the whole.
    context = scope.get("fastapi", {}).get("effective_route_context")
    return str(getattr(context or scope.get("route"), "path", _UNMATCHED))


def _span_of(tracer: Tracer, scope: Scope) -> Span | None:
    """The span of a request, as OpenTelemetry's conventions for HTTP name it; what it causes hangs on it."""
    if scope["path"].startswith(_PROBES):
        return None
    given = (header_in(scope["headers"], TRACEPARENT.encode()) or b"").decode("latin-1")
    method = _known(scope["method"])
    attributes = {
        "http.request.method": method,
        "url.scheme": scope.get("scheme"),
        "portfolio_bus.correlation_id": scope["state"]["request_id"],
    }
    span = tracer.span(Kind.SERVER, method, given, attributes)
    scope["state"][TRACEPARENT] = span.traceparent
    return span


def _end(span: Span, scope: Scope, status: int | None) -> None:
    """What is known of a request only behind its answer. A path of no route may be anything, so that it is not told."""
    principal = scope["state"].get("principal")
    template = _template_of(scope)
    if template != _UNMATCHED:
        span.name(f"{_known(scope['method'])} {template}")
        span.note({"http.route": template, "url.path": scope["path"]})
    client_id = None if principal is None else str(principal.client_id)
    span.note({"http.response.status_code": status, "portfolio_bus.client_id": client_id})
    if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail("unanswered" if status is None else str(status))
    span.end()


def _known(method: str) -> str:
    return method if method in METHODS else "_OTHER"
