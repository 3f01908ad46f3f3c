"""Attempts belong to the trace of their delivery's event, whatever becomes of the delivery; and batches to many."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from shared.kit.consuming import Consumer
from shared.kit.tracing import Tracer
from tests.collector import Collector, Seen, collecting
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import order_placed, rebalancing

from .receiver import Receiver, status
from .test_delivery import arrived, settled
from .test_repair import resent
from .world import Told, World

FIRST, SECOND = "1" * 32, "2" * 32
SPAN = "a" * 16


def under(trace_id: str, told: Told) -> Told:
    return told.again(traceparent=f"00-{trace_id}-{SPAN}-01")


@dataclass
class Traced:
    tracer: Tracer
    collector: Collector

    async def attempts(self, count: int) -> list[Seen]:
        """That many attempts as they came to the collector, in their order."""

        async def there() -> list[Seen]:
            found = [span for span in self.collector.spans if span.kind == "CLIENT"]
            return sorted(found, key=lambda span: span.start) if len(found) >= count else []

        seen: list[Seen] = await eventually(there)
        assert len(seen) == count
        return seen


@pytest.fixture
async def traced() -> AsyncIterator[Traced]:
    with collecting() as collector:
        async with Tracer("webhook_dispatcher", collector.url) as tracer:
            yield Traced(tracer, collector)


async def test_every_attempt_is_a_span_that_says_what_came_of_it_and_its_subscriber_is_told_its_context(
    world: World, receiver: Receiver, traced: Traced
) -> None:
    subscribed = await world.subscribed(receiver.url)
    receiver.answers.append(status(500))
    await world.happened(under(FIRST, world.told(order_placed(uuid4()))))
    async with world.dispatching(tracer=traced.tracer):
        await arrived(receiver, 2)
        await settled(world, "DELIVERED")

    failed, well = await traced.attempts(2)
    (delivery,) = await world.deliveries()
    assert {(span.trace_id, span.parent_id) for span in (failed, well)} == {(FIRST, SPAN)}
    assert [sent.headers["traceparent"] for sent in receiver.sent] == [failed.traceparent, well.traceparent]
    assert (failed.failed, failed.attributes["error.type"]) == (True, "500")
    assert (failed.attributes["portfolio_bus.outcome"], failed.attributes["portfolio_bus.attempt"]) == ("REJECTED", 1)
    assert (well.failed, well.name) == (False, "POST")
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    assert well.attributes == {
        "http.request.method": "POST",
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.scheme": "http",
        "portfolio_bus.attempt": 2,
        "portfolio_bus.outcome": "DELIVERED",
        "portfolio_bus.webhook_type": "PORTFOLIO_ORDER.NEW",
        "portfolio_bus.delivery_id": str(delivery.id),
        "portfolio_bus.subscription_id": str(subscribed.id),
        "portfolio_bus.client_id": str(world.client_id),
        "portfolio_bus.account_id": str(delivery.account_id),
    }


async def test_what_is_sent_again_goes_on_in_the_trace_of_its_event(
    world: World, receiver: Receiver, traced: Traced
) -> None:
    await world.subscribed(receiver.url)
    await world.happened(under(FIRST, world.told(order_placed(uuid4()))))
    async with world.dispatching(tracer=traced.tracer):
        await settled(world, "DELIVERED")
        (delivery,) = await world.deliveries()
        await resent(world, delivery.id)
        await arrived(receiver, 2)
        await settled(world, "DELIVERED")

    assert {(span.trace_id, span.parent_id) for span in await traced.attempts(2)} == {(FIRST, SPAN)}


async def test_a_package_belongs_to_the_trace_of_its_first_event(world: World) -> None:
    await world.subscribed("http://127.0.0.1:9/hook", max_package_size=3, delay=60.0)
    together, one_by_one = await world.an_account(), await world.an_account()
    first, second = (
        [under(FIRST, world.told(order_placed(account))), under(SECOND, world.told(order_placed(account)))]
        for account in (together, one_by_one)
    )
    await world.happened(*first)
    for each in second:
        await world.happened(each)

    packages = await world.deliveries()
    assert [(len(each.more_event_ids), each.traceparent) for each in packages] == [(1, f"00-{FIRST}-{SPAN}-01")] * 2


async def test_what_a_dispatcher_without_traces_has_planned_begins_one(
    world: World, receiver: Receiver, traced: Traced
) -> None:
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, 1)
    async with world.dispatching(tracer=traced.tracer):
        await settled(world, "DELIVERED")

    (attempt,) = await traced.attempts(1)
    assert attempt.parent_id == ""
    assert receiver.sent[0].headers["traceparent"] == attempt.traceparent.removesuffix("01") + "03"


async def test_without_a_tracer_a_subscriber_is_told_no_context(world: World, receiver: Receiver) -> None:
    await world.subscribed(receiver.url)
    await world.happened(under(FIRST, world.told(order_placed(uuid4()))))
    async with world.dispatching():
        await settled(world, "DELIVERED")

    assert "traceparent" not in receiver.sent[0].headers


async def test_a_message_that_is_parked_is_a_span_that_has_failed_and_its_neighbour_is_not(
    world: World, traced: Traced
) -> None:
    account_id = await world.an_account()
    good = under(FIRST, world.told(rebalancing(account_id)))
    bad = under(SECOND, world.told(rebalancing(account_id), client_id=World.another_client()))
    subscriber = world.rebalancings.subscriber
    consumer = Consumer(subscriber, world.database, world.service.kafka, traced.tracer)
    with capture_logs(processors=[merge_contextvars]) as lines:
        await consumer.take([world.record(bad)], {})
        await consumer.take([world.record(good), world.record(bad.again())], {})
    await consumer.parking.close()
    await traced.tracer.close()

    spans = {span.trace_id: span for span in traced.collector.spans}
    assert (spans[FIRST].failed, spans[FIRST].attributes["messaging.kafka.offset"]) == (False, good.offset)
    assert (spans[SECOND].failed, spans[SECOND].attributes["error.type"]) == (True, "refused")
    assert [line["trace_id"] for line in lines if line["event"] == "message parked"] == [SECOND, SECOND]


async def test_a_batch_that_fails_belongs_to_its_trace_and_one_of_several_to_none(world: World, traced: Traced) -> None:
    account_id = await world.an_account()
    good = under(FIRST, world.told(rebalancing(account_id)))
    bad = under(SECOND, world.told(rebalancing(account_id, 2)))
    consumer = Consumer(world.rebalancings.subscriber, world.database, world.service.kafka, traced.tracer)
    with capture_logs(processors=[merge_contextvars]) as lines:
        await consumer.take([world.record(bad)], {})
        await consumer.take([world.record(good), world.record(bad.again())], {})
    await consumer.parking.close()
    await traced.tracer.close()

    failed = [line.get("trace_id") for line in lines if line["event"].startswith("batch failed")]
    assert failed == [SECOND, None]
