"""Why something happens: carried from the edge, through the use case, into the headers of the events it causes."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Cause:
    """Who asked for a change and what it follows from."""

    #: The tenant on whose behalf it happens (`ce_clientid`).
    client_id: UUID
    #: The id of the request that began it all, the same over every hop (`ce_correlationid`).
    correlation_id: str
    #: The id of the message that caused this directly (`ce_causationid`); None when a request did.
    causation_id: str | None = None
    #: W3C trace context of the caller, handed on as it came.
    traceparent: str | None = None
