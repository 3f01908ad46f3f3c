"""One account's story, told by the bus and by the dispatcher."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from services.ops_console.clients import Came, Reach, Services, until_now
from services.ops_console.domain import Happened, in_order
from shared.contracts import (
    ACCOUNTS_EVENTS,
    COMMANDS_REPLIES,
    CONFIGURATIONS_COMMANDS,
    CONFIGURATIONS_EVENTS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    REBALANCINGS_COMMANDS,
    REBALANCINGS_EVENTS,
    parse_time,
)

#: Every topic that is keyed by accounts. All partitions of each are read: an upstream's producer may partition
#: otherwise than ours.
TOPICS = (
    ACCOUNTS_EVENTS,
    CONFIGURATIONS_COMMANDS,
    CONFIGURATIONS_EVENTS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    REBALANCINGS_COMMANDS,
    REBALANCINGS_EVENTS,
    COMMANDS_REPLIES,
)

#: what stands out of a message, where it has that
_TELLING = (
    "version",
    "status",
    "configuration_version",
    "cancellation_reason",
    "allocation_id",
    "order_id",
    "execution_id",
    "command_type",
)
_MOST_DELIVERIES = 10_000


async def story_of(
    reach: Reach, services: Services, account_id: str, *, since: datetime | None, told: Callable[[int], None]
) -> list[Happened]:
    """Everything that the bus and the dispatcher still know of the account, in the order in which it happened.

    `told` is called with how much was found so far. Raises KafkaError, and Trouble from the dispatcher.
    """
    found: list[Happened] = []
    async for came in until_now(reach.kafka, [topic.name for topic in TOPICS], key=account_id, since=since):
        found.append(_of_message(came))
        told(len(found))
    query = {"account_id": account_id}
    rows = await services.all_of("webhook_dispatcher", "/ops/deliveries", query, _MOST_DELIVERIES)
    return in_order([*found, *_of_deliveries(rows, since)])


def _of_message(came: Came) -> Happened:
    # When it happened, not when it came: a copy may come late.
    at = came.read.envelope.time if came.read else came.at
    detail = came.why or _telling(came.body)
    whole = {"partition": came.partition, "offset": came.offset, "client_id": came.client_id, "body": came.body}
    return Happened(at, came.topic, came.type, detail, whole)


def _telling(body: Mapping[str, Any]) -> str:
    named = {**body, **(body.get("problem") or {})}
    words = [f"{name}={named[name]}" for name in _TELLING if named.get(name) is not None]
    return " ".join([*words, str(named["detail"])] if "detail" in named else words)


def _of_deliveries(rows: Iterable[Mapping[str, Any]], since: datetime | None) -> Iterable[Happened]:
    for row in rows:
        # What has ended does not change any more: its last change is its end.
        at = parse_time(row["updated_at"])
        if since is None or at >= since:
            reason = f" {row['reason']}" if row["reason"] else ""
            detail = f"{row['state']}{reason} after {row['attempts']} attempts, subscription {row['subscription_id']}"
            yield Happened(at, "webhook_dispatcher", f"delivery of {row['event_type']}", detail, dict(row))
