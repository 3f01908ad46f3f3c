"""P1 and P3 at every boundary of the unit of work, the relay and the consumer: what a SIGKILL there leaves behind."""

import asyncio
import signal
from collections import defaultdict
from uuid import UUID

import pytest
from sqlalchemy import text

from deploy.local.topics import records_of
from shared.contracts import ORDERS_EVENTS, OrderPlaced, parked_topic
from shared.kit.boundaries import Boundary
from shared.kit.kafka import Kafka
from shared.kit.topics import ensure_topics
from shared.kit.unit_of_work import Database

from .crash_driver import ACCOUNTS, GROUP, PARTITIONS, TABLES, process_of, subscriber

WRITES = 12


async def _run(database: Database, kafka: Kafka, writes: int, kill_at: str = "") -> int | None:
    process = process_of(database.engine.url.render_as_string(hide_password=False), kafka, writes, kill_at)
    await asyncio.to_thread(process.start)
    try:
        await asyncio.to_thread(process.join, 60)
        return process.exitcode
    finally:
        if process.is_alive():
            process.kill()


async def _prepare(database: Database, kafka: Kafka) -> None:
    topics = [*subscriber().all_topics, parked_topic(GROUP)]
    await ensure_topics(kafka, topics, partitions=PARTITIONS, replication=1)
    async with database.unit_of_work() as work:
        for statement in TABLES.split(";"):
            await work.connection.execute(text(statement))
        for account in ACCOUNTS:
            await work.connection.execute(text("INSERT INTO accounts VALUES (:id)"), {"id": account})
    # A record that nobody can read, so that the boundary of parking is reached as well.
    producer = kafka.producer()
    await producer.start()
    await producer.send_and_wait(kafka.physical(ORDERS_EVENTS.name), key=b"x", value=b"\xff", partition=0)
    await producer.stop()


@pytest.mark.parametrize("boundary", list(Boundary))
async def test_a_process_killed_there_loses_nothing_and_doubles_no_effect(
    boundary: Boundary, database: Database, kafka: Kafka
) -> None:
    await _prepare(database, kafka)

    assert await _run(database, kafka, WRITES, kill_at=f"{boundary}:1") == -signal.SIGKILL
    assert await _run(database, kafka, WRITES) == 0

    async with database.reading() as connection:
        effects = (await connection.execute(text("SELECT id, account_id FROM effects ORDER BY number"))).all()
        taken = list((await connection.execute(text("SELECT id FROM taken"))).scalars())
        left = (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar_one()
    assert left == 0
    assert WRITES <= len(effects) <= 2 * WRITES
    assert sorted(taken) == sorted(row.id for row in effects), "each committed change has exactly one effect"

    first_copies: dict[UUID, list[UUID]] = defaultdict(list)
    for record in await records_of(kafka, ORDERS_EVENTS.name):
        if record.value != b"\xff":
            placed = OrderPlaced.model_validate_json(record.value)
            if placed.id not in first_copies[placed.account_id]:
                first_copies[placed.account_id].append(placed.id)
    written = defaultdict(list)
    for row in effects:
        written[row.account_id].append(row.id)
    assert first_copies == written, "the topic holds what was committed, nothing else, in commit order per account"

    parked = await records_of(kafka, parked_topic(GROUP).name)
    assert {dict(record.headers)["parked-id"] for record in parked} == {f"{GROUP}/{ORDERS_EVENTS.name}/0/0".encode()}
