"""P5 on a real broker: a rebalancing event that overtakes the deletion in time, on another topic, is not sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.contracts import Message, new_envelope, to_record
from shared.kit.bus import Bus
from shared.kit.consuming import Consumer
from shared.kit.kafka import Kafka
from shared.kit.liveness import Liveness
from shared.kit.service import Service
from shared.kit.subscriber import Subscriber
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import account_created, configured, deleted, rebalancing

from .receiver import Receiver
from .world import World


@asynccontextmanager
async def consuming(service: Service, *subscribers: Subscriber) -> AsyncIterator[None]:
    bus = Bus(service.kafka, Liveness(), session_seconds=2)
    for subscriber in subscribers:
        bus.attach(Consumer(subscriber, service.database, service.kafka))
    await bus.start()
    try:
        yield
    finally:
        await bus.stop()


async def publish(kafka: Kafka, client_id: UUID, *messages: Message) -> None:
    producer = kafka.producer()
    await producer.start()
    try:
        for message in messages:
            record = to_record(message, new_envelope(message, source="/upstream", client_id=client_id))
            topic = kafka.physical(record.topic)
            await producer.send_and_wait(topic, record.value, key=record.key, headers=record.headers)
    finally:
        await producer.stop()


async def test_a_rebalancing_event_that_overtakes_the_deletion_is_not_sent(
    service: Service, kafka: Kafka, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, rebalancings, _ = service.subscribers
    gone, stays = uuid4(), uuid4()
    await world.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")
    states = [state for each in (gone, stays) for state in (account_created(each), configured(each))]
    await publish(kafka, world.client_id, *states)
    async with consuming(service, copies):
        await eventually(lambda: both_known(world, gone, stays))

    # The keeper of the copies is away while the deletion comes, and the rebalancing events after it.
    await publish(kafka, world.client_id, deleted(gone))
    await publish(kafka, world.client_id, rebalancing(gone), rebalancing(stays))
    taken_up = asyncio.Event()
    waits = rebalancings.before

    async def noticed(received: Sequence[Any]) -> None:
        taken_up.set()
        await waits(received)

    monkeypatch.setattr(rebalancings, "before", noticed)
    async with world.sending(), consuming(service, rebalancings):
        await asyncio.wait_for(taken_up.wait(), 20)
        assert await world.deliveries() == [], "nothing is decided on a copy that is behind"
        async with consuming(service, copies):
            await eventually(lambda: decided(world))

    states_of = {row.account_id: (row.state, row.reason) for row in await world.deliveries()}
    assert states_of == {gone: ("SUPPRESSED", "NOT_CONFIGURED"), stays: ("DELIVERED", None)}
    (sent,) = receiver.sent
    assert str(stays).encode() in sent.body


async def both_known(world: World, *accounts: UUID) -> bool:
    found = await world.rows(
        "SELECT 1 FROM configurations JOIN accounts USING (account_id) "
        "WHERE account_id = ANY(CAST(:accounts AS uuid[]))",
        accounts=list(accounts),
    )
    return len(found) == len(accounts)


async def decided(world: World) -> bool:
    states = [state for state, _ in await world.states()]
    return len(states) == 2 and not {"WAITING", "LEASED"} & set(states)
