"""One event for many: the rate of deliveries where 1, 10 and 100 subscriptions want every event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.bench.figures import Figure
from deploy.local.bench.subscribers import DISPATCHER, Subscriber, subscriber
from deploy.local.demo.telling import must
from deploy.local.demo.upstream import Upstream
from deploy.local.services import RunningSystem
from shared.kit.kafka import Kafka

DELIVERIES = 10_000
SUBSCRIPTIONS = (1, 10, 100)


async def fan_out(system: RunningSystem, upstream: Upstream, kafka: Kafka, runs: int) -> list[Figure]:
    """As many deliveries each time, of ever fewer events."""
    figures = []
    async with subscriber(system, upstream, kafka) as receiving:
        for subscriptions in SUBSCRIPTIONS:
            async with _more_like_it(receiving, subscriptions - 1):
                rates = [await receiving.per_second(DELIVERIES, of_each=subscriptions) for _ in range(runs)]
            figures.append(Figure(f"deliveries, {subscriptions} for an event, one dispatcher", "/s", rates))
    return figures


@asynccontextmanager
async def _more_like_it(receiving: Subscriber, count: int) -> AsyncIterator[None]:
    """So many more subscriptions to the same events at the same address, for the length of the block."""
    upstream = receiving.upstream
    body = {"title": "bench", "url": receiving.url, "type": ["PORTFOLIO_ORDER"]}
    made = []
    try:
        for _ in range(count):
            answer = await upstream.call(DISPATCHER, "POST", "/webhooks", body)
            must(f"the subscription is made, not {answer.status}", answer.status == 201)  # noqa: PLR2004
            made.append(answer.json["id"])
        yield
    finally:
        for each in made:
            await upstream.call(DISPATCHER, "DELETE", f"/webhooks/{each}")
