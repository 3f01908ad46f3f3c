"""Attempts as spans: the last hop of what began with somebody's request.

Of the URL only host and port are told: the path of a webhook is often as good as a password.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from dataclasses import replace

from services.webhook_dispatcher.clients import target_of
from services.webhook_dispatcher.domain import Attempt, Claimed, Outcome
from shared.kit.tracing import Attributes, Kind, Span, Tracer

_METHOD = "POST"


def begun(tracer: Tracer, claimed: Claimed) -> Span:
    """The span of an attempt that is about to be made, under the trace of its delivery's event."""
    attributes: Attributes = {
        "http.request.method": _METHOD,
        "http.request.resend_count": claimed.attempt - 1 or None,
        **_where(claimed.url),
        "portfolio_bus.attempt": claimed.attempt,
        "portfolio_bus.webhook_type": claimed.webhook_type,
        "portfolio_bus.delivery_id": str(claimed.id),
        "portfolio_bus.subscription_id": str(claimed.subscription_id),
        "portfolio_bus.client_id": str(claimed.client_id),
        "portfolio_bus.account_id": str(claimed.account_id) if claimed.account_id else None,
    }
    return tracer.span(Kind.CLIENT, _METHOD, claimed.traceparent, attributes)


def ended(span: Span, attempt: Attempt) -> Attempt:
    """End it as the attempt did, which knows its trace from now on."""
    span.note({"http.response.status_code": attempt.status, "portfolio_bus.outcome": attempt.outcome.value})
    if attempt.outcome is not Outcome.DELIVERED:
        span.fail(attempt.outcome.value if attempt.status is None else str(attempt.status))
    span.end()
    return replace(attempt, trace_id=span.trace_id)


def _where(url: str) -> Attributes:
    try:
        origin = target_of(url).origin
    except ValueError:
        return {}
    return {"server.address": origin.host, "server.port": origin.port, "url.scheme": "https" if origin.tls else "http"}
