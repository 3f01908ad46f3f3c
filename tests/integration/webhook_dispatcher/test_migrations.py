"""Migrations move what is there: a database of the time before deliveries were kept in partitions."""

from typing import Any
from uuid import UUID, uuid4

from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from deploy.local.stack import Stack
from services.webhook_dispatcher import storage
from shared.kit import schema

PACKAGE = "services.webhook_dispatcher"
#: each with its age in days, and the attempts that there were
BEFORE = {
    "WAITING": (100, 2),
    "LEASED": (0, 1),
    "DELIVERED": (1, 1),
    "FAILED": (89, 3),
    "SUPPRESSED": (200, 0),
    "DISCARDED": (-2, 0),
}


async def test_what_was_planned_before_there_were_partitions_is_moved_and_can_be_sent(stack: Stack) -> None:
    url = stack.create_database(f"webhooks_{uuid4().hex[:12]}").replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url)
    client_id = uuid4()
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade_to, "webhook_dispatcher_0003")
        ids = await _planned_then(connection, client_id)
    await schema.migrate(url, PACKAGE)
    async with engine.connect() as connection:
        rows = {
            row.id: row for row in await _all(connection, "SELECT *, tableoid::regclass::text AS part FROM deliveries")
        }
        attempts = await _all(connection, "SELECT *, tableoid::regclass::text AS part FROM attempts ORDER BY number")
    async with engine.begin() as connection:
        lost = await storage.release_expired(connection)
    await engine.dispose()

    assert {rows[id_].state for id_ in ids.values() if id_ in rows} == BEFORE.keys() - {"SUPPRESSED"}
    assert {state: rows[ids[state]].part for state in ("WAITING", "LEASED")} == {
        "WAITING": "deliveries_open",
        "LEASED": "deliveries_open",
    }
    ended = [rows[ids[state]] for state in ("DELIVERED", "FAILED", "DISCARDED")]
    assert not any(row.part.endswith("default") for row in ended), "each has a partition of its own week"
    assert all(row.body == row.state.encode() for row in rows.values())
    assert [row.place for row in sorted(rows.values(), key=lambda row: row.id)] == [1, 2, 3, 4, 5], "in their order"
    assert {(each.delivery_id, each.number) for each in attempts} == {
        (ids["LEASED"], 1),
        (ids["DELIVERED"], 1),
    }, "attempts are kept for 30 days"
    assert lost == 1, "the lease of the process that has made the attempt is found"


def _upgrade_to(connection: Connection, revision: str) -> None:
    config = schema.config_of(PACKAGE)
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def _all(connection: AsyncConnection, statement: str) -> list[Any]:
    return list((await connection.execute(text(statement))).all())


async def _planned_then(connection: AsyncConnection, client_id: UUID) -> dict[str, UUID]:
    """A subscription with a delivery in every state, as they were stored then."""
    subscription_id = uuid4()
    await connection.execute(
        text(
            "INSERT INTO subscriptions (id, client_id, title, url, types, exclude_types, enabled, sealed_secret) "
            "VALUES (:id, :client_id, 'old', 'http://127.0.0.1:9/', '{ALL}', '{}', true, 'x')"
        ),
        {"id": subscription_id, "client_id": client_id},
    )
    ids = {state: UUID(int=number + 1) for number, state in enumerate(BEFORE)}
    for state, (age, attempts) in BEFORE.items():
        of = {"id": ids[state], "subscription": subscription_id, "client": client_id, "state": state, "age": age}
        await connection.execute(text(_DELIVERY), {**of, "token": uuid4() if state == "LEASED" else None})
        for number in range(1, attempts + 1):
            await connection.execute(text(_ATTEMPT), {"id": ids[state], "number": number, "age": age})
    return ids


_DELIVERY = """
INSERT INTO deliveries (id, subscription_id, client_id, event_source, event_id, event_time, event_type, gated, body,
                        state, lease_token, lease_expires_at, claimed_at, created_at, updated_at)
VALUES (:id, :subscription, :client, '/then', :state, now(), 'PORTFOLIO_ORDER.NEW', false,
        convert_to(CAST(:state AS text), 'UTF8'), :state, CAST(:token AS uuid),
        CASE WHEN CAST(:token AS uuid) IS NOT NULL THEN now() - interval '1 hour' END, now(),
        now() - make_interval(days => :age), now() - make_interval(days => :age))
"""
_ATTEMPT = """
INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome)
VALUES (:id, :number, now() - make_interval(days => :age), now() - make_interval(days => :age), 'REJECTED')
"""
