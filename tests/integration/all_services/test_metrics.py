"""/metrics and /health of the running services: all that the document lists, also while Kafka or PostgreSQL is away."""

import time
from collections.abc import Iterator
from uuid import uuid4

import aiohttp
import psutil
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import RunningSystem, service_names
from deploy.local.stack import local_stack
from services.webhook_dispatcher.workers import MEASURES as OF_THE_DISPATCHER
from shared.contracts import ACCOUNTS_EVENTS, CLIENTS_EVENTS
from shared.kit.metrics import MEASURES as OF_EVERY_SERVICE
from shared.kit.metrics import PROCESS
from shared.kit.secrets import new_sealing_key
from tests.conftest import PARTITIONS, eventually
from tests.scraped import Scraped

from .estates import Estate, World, order_body

MEASURES = (*OF_EVERY_SERVICE, *OF_THE_DISPATCHER)
REQUESTS = "portfolio_bus_http_requests_total"
MESSAGES = "portfolio_bus_consumer_messages_total"
LAG = "portfolio_bus_consumer_lag_records"
OUTBOX = "portfolio_bus_outbox_rows"
PUBLISHED = "portfolio_bus_relay_published_total"


async def scraped(world: World, service: str) -> Scraped:
    answer = await world.ask(service, "GET", "/metrics")
    assert answer.status == 200
    return Scraped(answer.text)


@pytest.fixture(scope="module")
async def busy(world: World) -> World:
    """The services after somebody made something, and asked for an order that is refused behind the barrier."""
    client = uuid4()
    account = {"user_id": str(uuid4()), "type": "PORTFOLIO"}
    await world.made(client, "config_service", "/accounts", account)
    estate = Estate(client, {"account_id": str(uuid4())})
    token = world.token(client)
    refused = await world.ask("order_service", "POST", "/portfolios/orders", token, order_body(estate))
    assert refused.status == 404

    async def has_come_round() -> bool:
        config, dispatcher = await scraped(world, "config_service"), await scraped(world, "webhook_dispatcher")
        batches = dispatcher.of("portfolio_bus_consumer_batch_seconds_count") or 0
        return batches > 0 and config.of(PUBLISHED, topic=ACCOUNTS_EVENTS.name) is not None

    await eventually(has_come_round)
    return world


async def test_what_is_exported_is_what_is_described_and_the_other_way_round(busy: World) -> None:
    found = [each for name in service_names() for each in (await scraped(busy, name)).described()]
    library = {measure.name for measure in PROCESS}
    described = {m.name: (m.kind.value, None if m.name in library else m.meaning) for m in MEASURES}
    assert {name: (kind, None if name in library else meaning) for name, kind, meaning, _ in found} == described
    labels = {name: found_labels for name, _, _, found_labels in found if found_labels is not None}
    expected = {measure.name: frozenset(measure.labels) for measure in MEASURES}
    assert labels == {name: expected[name] for name in labels}
    unseen = expected.keys() - labels.keys()
    assert unseen <= {"portfolio_bus_consumer_parked_total"}, "a metric that a busy system does not show"


async def test_no_label_holds_an_id(busy: World) -> None:
    for service in service_names():
        values = {v for s in (await scraped(busy, service)).samples for v in s.labels.values()}
        assert not [value for value in values if value.count("-") >= 4 and "{" not in value]


async def test_one_account_moves_the_counters_of_two_services(busy: World) -> None:
    route, group = "/accounts", "order_service.copies"

    async def seen() -> tuple[float, float, float]:
        config, orders = await scraped(busy, "config_service"), await scraped(busy, "order_service")
        return (
            config.of(REQUESTS, method="POST", route=route, status="2xx") or 0,
            config.of(PUBLISHED, topic=ACCOUNTS_EVENTS.name) or 0,
            orders.of(MESSAGES, group=group, fate="done") or 0,
        )

    requests, published, done = await seen()
    account = {"user_id": str(uuid4()), "type": "PORTFOLIO"}
    await busy.made(uuid4(), "config_service", route, account)

    async def moved() -> bool:
        now = await seen()
        return now[0] == requests + 1 and now[1] >= published + 1 and now[2] >= done + 1

    await eventually(moved)


async def test_every_group_is_seen_to_have_caught_up_beyond_the_markers_of_transactions(busy: World) -> None:
    async def caught_up() -> bool:
        told = [await scraped(busy, service) for service in service_names()]
        return all(each.all(LAG) and not any(each.all(LAG)) for each in told)

    await eventually(caught_up)
    dispatcher = await scraped(busy, "webhook_dispatcher")
    groups = {"webhook_dispatcher.copies", "webhook_dispatcher.rebalancings", "webhook_dispatcher.events"}
    assert dispatcher.labels(LAG, "group") == groups
    assert len(dispatcher.all(LAG, topic=ACCOUNTS_EVENTS.name, group="webhook_dispatcher.copies")) == PARTITIONS


@pytest.fixture(scope="module")
def alone() -> Iterator[RunningSystem]:
    """config_service on a stack of its own, whose Kafka and PostgreSQL may be stopped."""
    name = "config_service"
    with local_stack(preloaded=[f"services.{name}.app"]) as stack:
        running = RunningSystem(
            stack,
            databases={name: stack.create_database(name)},
            urls={name: f"http://{LOOPBACK}:{free_ports(1)[0]}"},
            environment={
                "PORTFOLIO_BUS_KAFKA": stack.kafka,
                "PORTFOLIO_BUS_SECRET_KEYS": new_sealing_key(),
                "PORTFOLIO_BUS_PARTITIONS": str(PARTITIONS),
            },
        )
        running.start(name, migrating=True).wait_ready()
        yield running
        for service in running.services.values():
            service.stop()


async def test_while_kafka_is_away_metrics_answer_at_once_and_the_outbox_is_seen_to_grow(alone: RunningSystem) -> None:
    url = alone.urls["config_service"]

    async with aiohttp.ClientSession() as session:

        async def seen() -> Scraped:
            began = time.perf_counter()
            async with session.get(f"{url}/metrics") as response:
                told = Scraped(await response.text())
            assert time.perf_counter() - began < 1.5
            return told

        alone.stack.nodes["kafka-1"].kill()
        alone.create_clients("one", "two")

        async def waits() -> bool:
            return (await seen()).of(OUTBOX) == 2

        await eventually(waits, every=0.2)
        age = (await seen()).of("portfolio_bus_outbox_oldest_seconds") or 0

        async def ages() -> bool:
            return ((await seen()).of("portfolio_bus_outbox_oldest_seconds") or 0) > age + 3

        await eventually(ages, every=0.2)
        assert (await seen()).of(PUBLISHED, topic=CLIENTS_EVENTS.name) is None
        alone.stack.nodes["kafka-1"].restart()

        async def published() -> bool:
            now = await seen()
            return now.of(OUTBOX) == 0 and now.of(PUBLISHED, topic=CLIENTS_EVENTS.name) == 2

        await eventually(published, seconds=60, every=0.2)


async def test_health_names_what_is_away_and_a_broker_that_is_takes_no_api_away(alone: RunningSystem) -> None:
    url, nodes = alone.urls["config_service"], alone.stack.nodes
    quickly = aiohttp.ClientTimeout(total=2.5)

    async with aiohttp.ClientSession(timeout=quickly) as session:

        async def health(path: str) -> tuple[int, str]:
            async with session.get(f"{url}/health/{path}") as response:
                return response.status, await response.text()

        async def becomes(path: str, status: int, *words: str) -> None:
            said = (0, "nothing")

            async def it_is() -> bool:
                nonlocal said
                said = await health(path)
                return said[0] == status and all(word in said[1] for word in words)

            try:
                await eventually(it_is, seconds=60, every=0.1)
            except pytest.fail.Exception:
                pytest.fail(f"{path} says {said}, not {status} {words}")

        await becomes("ready?role=all", 200)
        nodes["kafka-1"].kill()
        await becomes(
            "ready?role=all", 503, "consumers: broker: no broker accepts", "workers: broker: no broker accepts"
        )
        assert (await health("ready"))[0] == 200, "the API needs no broker (P9)"
        nodes["kafka-1"].restart()
        await becomes("ready?role=all", 200)

        nodes["postgres"].kill()
        await becomes("ready", 503, "api: database: failed with")
        assert (await health("live"))[0] == 200, "starting the process anew would bring no database back"
        nodes["postgres"].restart()
        await becomes("ready?role=all", 200)

        await becomes("live", 200)

        process = psutil.Process(alone.services["config_service"].pid)
        process.suspend()
        with pytest.raises(TimeoutError):
            await health("live")
        process.resume()
        await becomes("live", 200)
