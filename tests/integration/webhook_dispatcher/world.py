"""One client's view of the dispatcher: its subscriptions, and messages as they come from Kafka."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from aiokafka import ConsumerRecord
from sqlalchemy import text

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import AddressRule, CircuitRule, EndpointConfig, Happening, Pace
from services.webhook_dispatcher.storage import Looked
from services.webhook_dispatcher.use_cases import Endpoints, NewEndpoint, SubscriptionRules
from services.webhook_dispatcher.workers import DeliveryWorker, Limits, Rules
from shared.contracts import Envelope, Message, new_envelope, new_id, redrive_topic, to_record
from shared.kit.cause import Cause
from shared.kit.consuming import Consumer
from shared.kit.secrets import SecretBox
from shared.kit.service import Service, Worker
from shared.kit.tracing import Tracer
from tests.unit.webhook_dispatcher.messages import account_created, configured

PARTITION = 0
_OFFSETS = count()


@dataclass(frozen=True)
class Told:
    """A message with the envelope and the place in its topic under which it came, so that it can come again."""

    message: Message
    envelope: Envelope
    offset: int

    def again(self, **changed: Any) -> "Told":
        return replace(self, envelope=replace(self.envelope, **changed), offset=next(_OFFSETS))


@dataclass(frozen=True)
class Subscribed:
    id: UUID
    secret: str


class World:
    """A client in the service; batches are handed to its consumers as the bus would."""

    def __init__(self, service: Service, box: SecretBox, rule: AddressRule) -> None:
        self.service = service
        self.database = service.database
        self.client_id = uuid4()
        self.box = box
        self.rule = rule
        self.copies, self.rebalancings, self.events = (
            Consumer(subscriber, service.database, service.kafka) for subscriber in service.subscribers
        )

    async def close(self) -> None:
        for consumer in (self.copies, self.rebalancings, self.events):
            await consumer.parking.close()

    # -- what is told

    def told(self, message: Message, *, client_id: UUID | None = None) -> Told:
        envelope = new_envelope(message, source="/upstream", client_id=client_id or self.client_id)
        return Told(message, envelope, next(_OFFSETS))

    def record(self, told: Told) -> "ConsumerRecord[bytes, bytes]":
        made = to_record(told.message, told.envelope)
        topic = self.service.kafka.physical(made.topic)
        return ConsumerRecord(
            topic, PARTITION, told.offset, 0, 0, made.key, made.value, None, 0, 0, tuple(made.headers)
        )

    async def applied(self, *messages: Message | Told) -> None:
        """Let the keeper of copies take a batch, and store how far it has come."""
        batch = self._batch(messages)
        after = {(told.message.topic.name, PARTITION): told.offset + 1 for told in batch}
        await self.copies.take([self.record(told) for told in batch], after)

    async def applied_as_is(self, told: Told) -> None:
        """As `applied`, for an envelope that says another type than the message's."""
        known = self.record(told.again(type=type(told.message).__name__))
        headers = [(name, told.envelope.type.encode() if name == "ce_type" else value) for name, value in known.headers]
        await self.copies.take([dataclasses.replace(known, headers=tuple(headers))], {})

    @staticmethod
    def another_client() -> UUID:
        return uuid4()

    async def redriven_to_copies(self, told: Told) -> None:
        """Let the keeper of copies take a record that comes back from where it was parked."""
        came = self.record(told)
        place = {"topic": told.message.topic.name, "partition": str(PARTITION), "offset": str(told.offset)}
        parked = tuple((f"parked-{name}", value.encode()) for name, value in place.items())
        topic = self.service.kafka.physical(redrive_topic(self.copies.subscriber.group).name)
        await self.copies.take([dataclasses.replace(came, topic=topic, headers=(*came.headers, *parked))], {})

    def happening(self, message: Message) -> Happening:
        told = self.told(message).envelope
        return Happening.of(message, client_id=told.client_id, source=told.source, id=told.id, time=told.time)

    def endpoints(self, timeout: float = 2) -> Endpoints:
        return use_cases.endpoints_of(self.database, self.box, self.rule, timeout=timeout)

    async def rebalanced(self, *messages: Message | Told) -> None:
        await self.rebalancings.take([self.record(told) for told in self._batch(messages)], {})

    async def happened(self, *messages: Message | Told) -> None:
        await self.events.take([self.record(told) for told in self._batch(messages)], {})

    def _batch(self, messages: Sequence[Message | Told]) -> list[Told]:
        return [each if isinstance(each, Told) else self.told(each) for each in messages]

    async def an_account(self, *, version: int = 1, client_id: UUID | None = None) -> UUID:
        """An account of the client, configured under `version` if that is not 0."""
        account_id = uuid4()
        states: list[Message] = [account_created(account_id)]
        if version:
            states.append(configured(account_id, version))
        await self.applied(*[self.told(state, client_id=client_id) for state in states])
        return account_id

    # -- what is subscribed and delivered

    async def subscribed(
        self,
        url: str,
        *types: str,
        enabled: bool = True,
        excluded: Sequence[str] = (),
        pace: Pace = Pace.QUICK,
        **config: Any,
    ) -> Subscribed:
        """A subscription whose endpoint has answered quickly so far, unless `pace` says otherwise."""
        endpoint = NewEndpoint("a test", url, types or ("ALL",), excluded, enabled, EndpointConfig(**config))
        async with self.database.unit_of_work(Cause(self.client_id, "a-request")) as work:
            row, secret = await use_cases.subscribe(work, endpoint, SubscriptionRules(self.rule, self.box))
            answered = text("UPDATE endpoints SET pace = :pace WHERE subscription_id = :id")
            await work.connection.execute(answered, {"pace": pace.value, "id": row.id})
        return Subscribed(row.id, secret)

    async def unsubscribed(self, subscription_id: UUID) -> None:
        async with self.database.unit_of_work(Cause(self.client_id, "a-request")) as work:
            await use_cases.delete_subscription(work, subscription_id)

    async def looked(self, after: UUID | None = None, at_most: int = 1000) -> Looked:
        """What a look finds."""
        async with self.database.driver_connection() as connection:
            return await use_cases.look_for_due(connection, after, at_most)

    async def rows(self, statement: str, **arguments: Any) -> Sequence[Any]:
        async with self.database.reading() as connection:
            return (await connection.execute(text(statement), arguments)).all()

    async def deliveries(self) -> list[Any]:
        """The client's deliveries in the order of their making."""
        return list(await self.rows("SELECT * FROM deliveries WHERE client_id = :c ORDER BY id", c=self.client_id))

    async def states(self) -> list[tuple[str, str | None]]:
        return [(row.state, row.reason) for row in await self.deliveries()]

    async def attempts(self) -> list[Any]:
        return list(
            await self.rows(
                "SELECT attempts.* FROM attempts JOIN deliveries ON id = delivery_id WHERE client_id = :c "
                "ORDER BY delivery_id, number",
                c=self.client_id,
            )
        )

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """The delivery worker runs meanwhile."""
        async with _running(self.service.workers["delivery"]):
            yield

    @asynccontextmanager
    async def dispatching(
        self,
        limits: Limits = Limits(),  # noqa: B008 -- frozen
        circuit: CircuitRule = CircuitRule(),  # noqa: B008 -- frozen
        schedule: Sequence[float] = (0.05, 0.05),
        timeout: float = 2,  # noqa: ASYNC109 -- of attempts
        tracer: Tracer | None = None,
    ) -> AsyncIterator[DeliveryWorker]:
        """Another dispatcher runs meanwhile, with a memory and connections of its own."""
        endpoints = self.endpoints(timeout)
        worker = DeliveryWorker(self.database, endpoints, limits, Rules(schedule, circuit), tracer=tracer)
        await endpoints.open()
        try:
            async with _running(worker.run):
                yield worker
        finally:
            await endpoints.close()

    async def waiting_for(self, subscription_id: UUID, count: int, *accounts: UUID) -> None:
        """Plan `count` deliveries at once, of these accounts in turn, or of as many as there are deliveries."""
        of_each = [accounts[n % len(accounts)] if accounts else uuid4() for n in range(count)]
        await self.rows(
            """
            INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time,
                                    event_type, gated, body, state, ordered)
            SELECT planned.id, s.id, s.client_id, planned.account_id, '/a-test', n, now(), 'PORTFOLIO_ORDER.NEW',
                   false, convert_to(CAST(n AS text), 'UTF8'), 'WAITING', s.ordered
            FROM subscriptions AS s,
                 unnest(CAST(:ids AS uuid[]), CAST(:accounts AS uuid[])) WITH ORDINALITY AS planned(id, account_id, n)
            WHERE s.id = :id ORDER BY n
            RETURNING id
            """,
            id=subscription_id,
            ids=[new_id() for _ in of_each],
            accounts=of_each,
        )


@asynccontextmanager
async def _running(worker: Worker) -> AsyncIterator[None]:
    running = asyncio.ensure_future(worker(lambda: None))
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
