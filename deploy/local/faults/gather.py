"""Gathers the evidence, once all has come to rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import orjson
from aiokafka import ConsumerRecord

from deploy.local.faults.evidence import Evidence, Parked, Row, Seen
from deploy.local.faults.ledger import entries_of
from deploy.local.faults.stage import Stage
from deploy.local.faults.watch import GROUPS
from deploy.local.topics import records_of
from shared.kit.kafka import Kafka

_TOPICS: Final = (
    "accounts.events.v1",
    "allocations.events.v1",
    "configurations.events.v1",
    "orders.events.v1",
    "rebalancings.events.v1",
    "commands.replies.v1",
)
_VALUE_KEPT = 100

#: The evidence's name of it -> whose database, and the query. All ids and times as texts.
_ROWS: Final[Mapping[str, tuple[str, str]]] = {
    "orders": (
        "order_service",
        """
        SELECT id::text, client_id::text, account_id::text, configuration_version, kind, client_reference,
               execution_id::text, status, cancellation_reason, created_at::text, processing_at::text, filled_at::text,
               settled_at::text, cancelled_at::text
        FROM orders ORDER BY account_id, created_at
        """,
    ),
    "account_copies": (
        "order_service",
        """
        SELECT account_id::text, client_id::text, configured, configuration_version AS version,
               configuration_revision AS revision,
               coalesce(account_quarantined, configuration_quarantined) AS quarantined
        FROM accounts
        """,
    ),
    "accounts": ("config_service", "SELECT account_id::text, client_id::text, name, revision FROM accounts"),
    "configurations": (
        "config_service",
        "SELECT account_id::text, client_id::text, version, revision, configured FROM configurations",
    ),
    "deliveries": (
        "webhook_dispatcher",
        """
        SELECT id::text, subscription_id::text, client_id::text, account_id::text, place, ordered, event_id,
               more_event_ids, event_type, gated, configuration_version, state, reason, attempts, projection_position,
               planned_position
        FROM deliveries
        """,
    ),
    "attempts": (
        "webhook_dispatcher",
        "SELECT delivery_id::text, number, outcome, projection_position FROM attempts ORDER BY delivery_id, number",
    ),
    "gates": (
        "webhook_dispatcher",
        "SELECT account_id::text, client_id::text, configured, version, revision, quarantined FROM configurations",
    ),
}


async def gathered(stage: Stage, kafka: Kafka, left: Mapping[str, int]) -> Evidence:
    """Read everything."""
    rows: dict[str, list[Row]] = {}
    for name, (service, query) in _ROWS.items():
        connection = await asyncpg.connect(stage.system.databases[service], ssl=False)
        try:
            rows[name] = [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()
    return Evidence(
        ledger=list(entries_of(stage.folder / "ledger.jsonl")),
        arrivals=list(entries_of(stage.folder / "arrivals.jsonl")),
        topics={topic: await _seen_in(kafka, topic) for topic in _TOPICS},
        parked=[each for group in GROUPS for each in await _parked_by(kafka, group)],
        left=left,
        memory=dict(stage.memory),
        **rows,
    )


async def _seen_in(kafka: Kafka, topic: str) -> list[Seen]:
    return [_seen(topic, record) for record in await records_of(kafka, topic)]


def _seen(topic: str, record: ConsumerRecord[bytes, bytes]) -> Seen:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    key = (record.key or b"").decode("utf-8", "replace")
    return Seen(
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        key=key,
        id=headers.get("ce_id"),
        type=headers.get("ce_type"),
        source=headers.get("ce_source"),
        client=headers.get("ce_clientid"),
        body=_body(record.value),
    )


def _body(value: bytes | None) -> dict[str, Any]:
    try:
        body = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


async def _parked_by(kafka: Kafka, group: str) -> list[Parked]:
    found = []
    for record in await records_of(kafka, f"{group}.parked.v1"):
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        shown = (record.value or b"")[:_VALUE_KEPT].decode("utf-8", "replace")
        topic = headers.get("parked-topic", "")
        found.append(Parked(group, headers.get("parked-reason", ""), topic, headers.get("ce_id"), shown))
    return found
