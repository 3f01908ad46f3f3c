"""What came of an attempt: data, never an exception."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

#: what a Retry-After may ask for at most, in seconds
LONGEST_WAIT = 24 * 3600.0


class Outcome(StrEnum):
    """How an attempt ended."""

    DELIVERED = "DELIVERED"
    #: 410: the endpoint wants nothing any more
    GONE = "GONE"
    #: 429 or 503: later, please
    ASKED_TO_WAIT = "ASKED_TO_WAIT"
    #: any other answer, redirects included
    REJECTED = "REJECTED"
    DNS_FAILED = "DNS_FAILED"
    #: the name leads to an address that deliveries may not reach
    FORBIDDEN_ADDRESS = "FORBIDDEN_ADDRESS"
    CONNECT_FAILED = "CONNECT_FAILED"
    TLS_FAILED = "TLS_FAILED"
    TIMED_OUT = "TIMED_OUT"
    #: the connection broke before an answer was there
    BROKEN_OFF = "BROKEN_OFF"
    #: what came back is not HTTP
    INVALID_ANSWER = "INVALID_ANSWER"
    #: no access token could be got for the endpoint
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    #: our own fault: the secret cannot be opened, for example
    NOT_SENT = "NOT_SENT"
    #: this process was stopped before the answer came
    INTERRUPTED = "INTERRUPTED"
    #: the process that made the attempt has died; nobody knows what came of it
    LOST = "LOST"


@dataclass(frozen=True)
class Attempt:
    """One attempt's result; times are wall-clock and for people only."""

    outcome: Outcome
    started_at: datetime
    finished_at: datetime
    status: int | None = None
    #: at most 300 characters, without the secret or the URL's query
    error: str | None = None
    #: the beginning of the response
    response: bytes = field(default=b"", repr=False)
    #: seconds that the endpoint asked us to wait
    retry_after: float | None = None
    #: the recorded trace that it belongs to, if any
    trace_id: str | None = None


def classify(status: int) -> Outcome:
    """The outcome of an attempt that was answered with `status`."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome.DELIVERED
    if status == HTTPStatus.GONE:
        return Outcome.GONE
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return Outcome.ASKED_TO_WAIT
    return Outcome.REJECTED


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read Retry-After (seconds, or an HTTP date as seen from `now`), clamped to a day; None for anything else."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # Counted before it is converted: a header may hold thousands of digits.
        seconds = float(text) if len(text) <= len("86400") else LONGEST_WAIT
        return min(seconds, LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_WAIT)
