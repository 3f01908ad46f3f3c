"""P3: one effect however often a message comes. Every subscriber that is registered gets every message twice."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from sqlalchemy import text

import shared.contracts
from deploy.local.stack import Stack
from shared.contracts import MESSAGES
from shared.kit import service as services
from shared.kit.cause import Cause
from shared.kit.consuming import Consumer
from shared.kit.service import Service
from shared.kit.subscriber import Subscriber
from tests.services import all_subscribers, built

SAMPLES = Path(shared.contracts.__file__).parent / "samples"
STATES_FIRST = ("AccountCreated", "AllocationCreated", "ConfigurationCreated")


def record_of(kind: str, offset: int, prefix: str) -> "ConsumerRecord[bytes, bytes]":
    """The golden sample of a message, as if it had happened just now."""
    sample = json.loads((SAMPLES / f"{kind}.json").read_text())
    sample["headers"]["ce_time"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    headers = tuple((name, value.encode()) for name, value in sample["headers"].items())
    value = json.dumps(sample["body"]).encode()
    topic = prefix + MESSAGES[kind].topic.name
    return ConsumerRecord(topic, 0, offset, 0, 0, sample["key"].encode(), value, None, 0, len(value), headers)


def taken_by(subscriber: Subscriber) -> list[str]:
    """The types of all messages on the subscriber's topics, state first, so that commands meet what they are about."""
    topics = {topic.name for topic in subscriber.topics}
    kinds = [kind for kind, message in MESSAGES.items() if message.topic.name in topics]
    return sorted(
        kinds, key=lambda kind: (kind not in STATES_FIRST, STATES_FIRST.index(kind) if kind in STATES_FIRST else 0)
    )


async def state_of(service: Service) -> dict[str, Any]:
    """Everything in the database. Of the outbox the ids: a reply is repeated with the id that it had."""
    tables = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    found: dict[str, Any] = {}
    async with service.database.reading() as connection:
        for table in (await connection.execute(text(tables))).scalars().all():
            row = "headers->>'ce_id'" if table == "outbox" else "t::text"
            rows = (await connection.execute(text(f"SELECT {row} FROM {table} t"))).scalars().all()
            found[table] = set(rows) if table == "outbox" else sorted(rows)
    return found


@pytest.fixture
async def started(stack: Stack, fresh_database: Callable[[], str]) -> AsyncIterator[Callable[[str], Any]]:
    made: list[Service] = []

    async def start(name: str) -> Service:
        prefix = f"t{uuid4().hex[:10]}."
        service = built(name, database_url=fresh_database(), kafka=stack.kafka, topic_prefix=prefix)
        await services.migrate(service)
        made.append(service)
        return service

    yield start
    for service in made:
        for close in service.closes:
            await close()
        await service.database.close()


async def prepare(service: Service, client_id: UUID) -> None:
    """What must be there for messages to have an effect at all."""
    prefix = service.kafka.prefix
    if service.name == "webhook_dispatcher":
        subscribe = text(
            "INSERT INTO subscriptions (id, client_id, title, url, types, exclude_types, enabled, sealed_secret) "
            "VALUES (gen_random_uuid(), :client_id, 'all', 'http://127.0.0.1:1/', '{ALL}', '{}', true, '')"
        )
        async with service.database.unit_of_work(Cause(client_id, "test")) as work:
            await work.connection.execute(subscribe, {"client_id": client_id})
    for subscriber in service.subscribers:
        if subscriber.keeps_copies:
            states = [record_of(kind, n, prefix) for n, kind in enumerate(STATES_FIRST) if kind != "AllocationCreated"]
            await Consumer(subscriber, service.database, service.kafka).take(states, {})


@pytest.mark.parametrize(("name", "group"), all_subscribers(), ids=str)
async def test_a_message_delivered_again_changes_nothing(name: str, group: str, started: Callable[[str], Any]) -> None:
    service: Service = await started(name)
    client_id = UUID(json.loads((SAMPLES / "AccountCreated.json").read_text())["headers"]["ce_clientid"])
    await prepare(service, client_id)
    subscriber = next(each for each in service.subscribers if each.group == group)
    consumer = Consumer(subscriber, service.database, service.kafka)
    kinds = taken_by(subscriber)
    records = [record_of(kind, offset, service.kafka.prefix) for offset, kind in enumerate(kinds)]
    before = await state_of(service)

    states = []
    for record in records:
        await consumer.take([record], {})
        states.append(await state_of(service))
        await consumer.take([record], {})
        assert await state_of(service) == states[-1], f"a second {kinds[record.offset]} at once"
    await consumer.take(records, {})
    assert await state_of(service) == states[-1], "all of them once more, long after"
    await consumer.parking.close()

    assert states[-1] != before, "the messages had an effect at all"
