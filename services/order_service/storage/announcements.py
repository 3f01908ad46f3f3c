"""Events written by the statement that changes their orders, so that ten thousand of them are one statement.

The body is what the contract's classes write, byte by byte; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.contracts import Envelope, Message, to_headers
from shared.kit.cause import Cause
from shared.kit.outbox import Outbox, headers_as_json

from ..domain import EVENTS

#: Named by the statement for each event, in place of what the cause gives.
_OF_EACH_EVENT = frozenset({"ce_id", "ce_type", "ce_time"})
_PLACEHOLDER = "-"


def _as_time(column: str) -> str:
    """A time as the contract writes it: RFC 3339 in UTC with six decimals and Z."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _by_kind_and_status(value: str) -> str:
    """A CASE over the table of events; `value` names an attribute of each."""
    cases = (
        f"WHEN o.kind = '{kind}' AND o.status = '{status}' THEN '{_told(event, value)}'"
        for (kind, status), event in EVENTS.items()
    )
    return f"CASE {' '.join(cases)} END"


def _told(event: type[Message], value: str) -> str:
    return event.topic.name if value == "topic" else event.__name__


def _json_of(column: str, written: str) -> str:
    """A column as JSON text; `written` says how the contract writes it."""
    match written:
        case "plain":
            text = f"'\"' || {column}::text || '\"'"
        case "number":
            text = f"{column}::text"
        case "time":
            text = f"'\"' || {_as_time(column)} || '\"'"
        case _:
            text = f"to_json({column})::text"
    return f"coalesce({text}, 'null')"


def _body(fields: Mapping[str, str]) -> str:
    """The body of an event: concatenated, because json_build_object takes twice as long."""
    parts = [f"""'"{name}":' || {_json_of(f"o.{name}", written)}""" for name, written in fields.items()]
    return "'{' || " + " || ',' || ".join(parts) + " || '}'"


#: The fields in the contract's order. What is plain needs no escaping; a decimal travels in the scale in which it came.
_PORTFOLIO_FIELDS = {
    **dict.fromkeys(("id", "account_id", "user_id", "allocation_id"), "plain"),
    "configuration_version": "number",
    **dict.fromkeys(("kind", "side", "cash_amount", "currency"), "plain"),
    "client_reference": "text",
    **dict.fromkeys(("status", "cancellation_reason"), "plain"),
    **dict.fromkeys(("created_at", "updated_at", "processing_at", "filled_at", "settled_at", "cancelled_at"), "time"),
}

_REBALANCING_FIELDS = {
    **dict.fromkeys(("id", "execution_id", "account_id"), "plain"),
    "configuration_version": "number",
    **dict.fromkeys(("status", "cancellation_reason"), "plain"),
    **dict.fromkeys(("created_at", "updated_at"), "time"),
}

_BODY = f"CASE o.kind WHEN 'PORTFOLIO' THEN {_body(_PORTFOLIO_FIELDS)} ELSE {_body(_REBALANCING_FIELDS)} END"

#: Announces the orders `o` of the FROM clause that is to follow, each because of a row `because` joined to it: the
#: `shard` of its account's key and the `headers` (jsonb) of the cause. Nothing is sorted and no headers travel with the
#: orders: at ten thousand, either would spill to disk.
ANNOUNCE = f"""
    INSERT INTO outbox (topic, key, shard, headers, payload)
    SELECT {_by_kind_and_status("topic")}, o.account_id::text, because.shard,
           because.headers || jsonb_build_object(
               'ce_id', gen_random_uuid()::text, 'ce_type', {_by_kind_and_status("type")},
               'ce_time', {_as_time("o.updated_at")}),
           convert_to({_BODY}, 'UTF8')
"""


@dataclass(frozen=True)
class BaseHeaders:
    """What all events of one cause have in their headers, and the shard of their key."""

    shard: int
    headers: str


def base_headers(outbox: Outbox, cause: Cause, key: str) -> BaseHeaders:
    """The headers that the statement completes for each event, as JSON, and the shard of the events' key."""
    return BaseHeaders(outbox.shard_of(key), common_headers(outbox, cause))


def common_headers(outbox: Outbox, cause: Cause) -> str:
    """What all events of one cause have in their headers, whatever their keys; as JSON."""
    envelope = Envelope(
        id=_PLACEHOLDER,
        type=_PLACEHOLDER,
        source=outbox.source,
        time=datetime.now(UTC),
        client_id=cause.client_id,
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        traceparent=cause.traceparent,
    )
    kept = [header for header in to_headers(envelope) if header[0] not in _OF_EACH_EVENT]
    return headers_as_json(kept)
