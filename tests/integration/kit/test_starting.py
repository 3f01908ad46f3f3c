"""A process may be started before Kafka is there."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.errors import KafkaConnectionError

from deploy.local.stack import local_stack
from shared.contracts import ORDERS_EVENTS, OrderPlaced
from shared.kit.bus import Bus
from shared.kit.consuming import Consumer
from shared.kit.kafka import Kafka
from shared.kit.liveness import Liveness
from shared.kit.received import Received
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import Database, UnitOfWork
from tests.conftest import eventually

from .bench import make_topics, send
from .crash_driver import order_placed


async def test_consumers_join_once_kafka_is_there_and_take_what_waited(database: Database) -> None:
    subscriber, taken = Subscriber("early.orders", [ORDERS_EVENTS]), list[UUID]()

    @subscriber.on(OrderPlaced)
    async def on_order_placed(_: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        taken.extend(each.body.id for each in messages)

    order = order_placed(uuid4(), uuid4())
    with local_stack() as stack:
        kafka = Kafka(stack.kafka, client_id="early")
        await make_topics(kafka, subscriber)
        await send(kafka, order)
        bus = Bus(kafka, Liveness(), session_seconds=2)
        bus.attach(Consumer(subscriber, database, kafka))
        stack.nodes["kafka-1"].kill()
        with pytest.raises(KafkaConnectionError):
            await bus.start()
        stack.nodes["kafka-1"].restart()
        await bus.start()

        async def it_came() -> bool:
            return taken == [order.id]

        await eventually(it_came, seconds=30)
        await bus.stop()
