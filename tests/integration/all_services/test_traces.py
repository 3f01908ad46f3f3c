"""One trace from a request to the webhooks of all that it causes, across the processes and Kafka."""

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.topics import records_of
from shared.contracts import CONFIGURATIONS_EVENTS
from shared.kit.kafka import Kafka
from tests.collector import Collector, Seen
from tests.conftest import eventually

from .estates import ITEMS, Estate, World, order_body

CREATED, CANCELLED = "PORTFOLIO_CONFIGURATION.CREATED", "PORTFOLIO_ORDER.CANCELLED"
PATH, SECRET = "/hook/a-path-as-good-as-a-password", "a-query-as-well"


@dataclass
class Endpoint:
    """A subscriber's endpoint, with the trace context of each event that it was told, by its type."""

    url: str
    told: dict[str, str] = field(default_factory=dict)


@dataclass
class Told:
    """Two requests with a trace of the caller's own each, and what was recorded of them."""

    configured: list[Seen]
    deleted: list[Seen]
    #: the callers' span
    caller: str
    endpoint: Endpoint
    client_id: UUID


@pytest.fixture(scope="module")
async def endpoint() -> AsyncIterator[Endpoint]:
    (port,) = free_ports(1)
    made = Endpoint(f"http://{LOOPBACK}:{port}{PATH}?key={SECRET}")

    async def hook(request: web.Request) -> web.Response:
        body = await request.json()
        made.told |= {item["type"]: request.headers.get("traceparent", "none") for item in body["payload"]}
        return web.Response()

    app = web.Application()
    app.router.add_post(PATH, hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    yield made
    await runner.cleanup()


@pytest.fixture(scope="module")
async def told(world: World, collector: Collector, endpoint: Endpoint) -> Told:
    """An account is configured, has an order, and its configuration is deleted."""
    client_id, caller = uuid4(), secrets.token_hex(8)
    hook = {"title": "mine", "url": endpoint.url, "type": [CREATED, CANCELLED]}
    await world.made(client_id, "webhook_dispatcher", "/webhooks", hook)
    account = await world.made(client_id, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    allocation = await world.made(client_id, "config_service", "/portfolios/allocations", {"allocation": ITEMS})
    estate = Estate(client_id, {"account_id": account["account_id"], "allocation_id": allocation["allocation_id"]})
    token = world.token(client_id)

    async def traced(method: str, path: str, body: Any = None) -> str:
        trace_id = secrets.token_hex(16)
        answer = await world.ask("config_service", method, path, token, body, traceparent=f"00-{trace_id}-{caller}-01")
        assert answer.status in {201, 204}, answer.text
        return trace_id

    async def all_of(trace_id: str, webhook_type: str) -> list[Seen]:
        async def told() -> bool:
            spans = collector.of(trace_id)
            ended = [span for span in spans if span.attributes.get("portfolio_bus.webhook_type") == webhook_type]
            known = {span.span_id for span in spans} | {caller}
            return bool(ended) and all(span.parent_id in known for span in spans)

        await eventually(told, seconds=60)
        return collector.of(trace_id)

    link = {"account_id": estate.account_id, "allocation_id": estate.allocation_id}
    configured = await all_of(await traced("POST", "/portfolios/configurations", link), CREATED)

    async def ordered() -> bool:
        body = order_body(estate, configuration_version=1)
        return (await world.ask("order_service", "POST", "/portfolios/orders", token, body)).status == 201

    await eventually(ordered, seconds=60, every=0.1)
    deleted = await all_of(await traced("DELETE", f"/portfolios/configurations/{estate.account_id}"), CANCELLED)
    return Told(configured, deleted, caller, endpoint, client_id)


def chain(spans: Sequence[Seen], webhook_type: str) -> list[Seen]:
    """The attempt to send that webhook and all before it, the first one first."""
    (last,) = [span for span in spans if span.attributes.get("portfolio_bus.webhook_type") == webhook_type]
    by_id, found = {span.span_id: span for span in spans}, [last]
    while found[0].parent_id in by_id:
        found.insert(0, by_id[found[0].parent_id])
    return found


def steps(spans: Sequence[Seen]) -> list[tuple[str, str, str]]:
    return [(span.service, span.kind, span.attributes.get("messaging.consumer.group.name", "")) for span in spans]


async def test_configuring_an_account_is_one_trace_from_the_request_to_the_webhook(told: Told) -> None:
    found = chain(told.configured, CREATED)
    assert [(service, kind) for service, kind, _ in steps(found)] == [
        ("config_service", "SERVER"),
        ("config_service", "PRODUCER"),
        ("webhook_dispatcher", "CONSUMER"),
        ("webhook_dispatcher", "CLIENT"),
    ]
    server, producer, consumer, client = found
    assert server.parent_id == told.caller
    assert server.name == "POST /portfolios/configurations"
    assert server.attributes["portfolio_bus.client_id"] == str(told.client_id)
    assert producer.attributes["messaging.message.id"] == consumer.attributes["messaging.message.id"]
    assert consumer.attributes["messaging.consumer.group.name"].endswith("webhook_dispatcher.events")
    assert client.attributes["portfolio_bus.outcome"] == "DELIVERED"
    assert (client.attributes["http.response.status_code"], client.attributes["portfolio_bus.attempt"]) == (200, 1)
    assert not any(span.failed for span in told.configured)


async def test_every_reader_of_an_event_hangs_on_its_publication(told: Told, collector: Collector) -> None:
    (producer,) = [span for span in told.configured if span.kind == "PRODUCER"]
    # Each process sends its spans in its own time.
    expected = {("order_service", "copies"), ("webhook_dispatcher", "copies"), ("webhook_dispatcher", "events")}

    async def readers() -> list[Seen]:
        found = [span for span in collector.of(producer.trace_id) if span.kind == "CONSUMER"]
        return found if len(found) >= len(expected) else []

    read = await eventually(readers)
    assert {(service, group.rpartition(".")[2]) for service, _, group in steps(read)} == expected
    assert {span.parent_id for span in read} == {producer.span_id}


async def test_the_wait_in_the_outbox_begins_within_the_request_and_ends_when_kafka_has_the_event(
    told: Told, world: World
) -> None:
    server, producer, consumer, _ = chain(told.configured, CREATED)
    prefix = world.system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"]
    kafka = Kafka(world.system.stack.kafka, prefix, client_id="traces")
    records = await records_of(kafka, CONFIGURATIONS_EVENTS.name)
    place = (
        int(consumer.attributes["messaging.destination.partition.id"]),
        consumer.attributes["messaging.kafka.offset"],
    )
    (record,) = [record for record in records if (record.partition, record.offset) == place]
    headers = dict(record.headers)

    assert headers["traceparent"].decode() == producer.traceparent
    assert server.start <= producer.start <= server.end, "it is written by the request"
    assert producer.start < record.timestamp * 1_000_000 + 1_000_000
    assert record.timestamp * 1_000_000 <= producer.end, "what is produced can be read only with the commit"


async def test_a_deletion_is_one_trace_through_the_cancelled_order_to_its_webhook(told: Told) -> None:
    found = chain(told.deleted, CANCELLED)
    assert [(service, kind) for service, kind, _ in steps(found)] == [
        ("config_service", "SERVER"),
        ("config_service", "PRODUCER"),
        ("order_service", "CONSUMER"),
        ("order_service", "PRODUCER"),
        ("webhook_dispatcher", "CONSUMER"),
        ("webhook_dispatcher", "CLIENT"),
    ]
    assert found[0].parent_id == told.caller
    assert found[0].name == "DELETE /portfolios/configurations/{account_id}"
    assert [span.start for span in found] == sorted(span.start for span in found)


async def test_a_subscriber_is_told_the_context_of_the_attempt(told: Told) -> None:
    attempts = {CREATED: chain(told.configured, CREATED)[-1], CANCELLED: chain(told.deleted, CANCELLED)[-1]}
    assert told.endpoint.told == {kind: span.traceparent for kind, span in attempts.items()}


async def test_nothing_of_a_subscribers_address_but_host_and_port_stands_in_a_trace(told: Told) -> None:
    attempt = chain(told.configured, CREATED)[-1]
    host, _, port = told.endpoint.url.removeprefix("http://").partition("/")[0].partition(":")
    assert (attempt.attributes["server.address"], attempt.attributes["server.port"]) == (host, int(port))
    told_of = repr(told.configured + told.deleted)
    assert PATH not in told_of
    assert SECRET not in told_of


async def test_the_lines_of_requests_and_attempts_name_the_trace(told: Told, world: World) -> None:
    trace_id = told.configured[0].trace_id

    def lines(service: str, event: str) -> list[dict[str, Any]]:
        log = (world.system.stack.directory / f"{service}.log").read_text().splitlines()
        found = [json.loads(line) for line in log if trace_id in line]
        return [line for line in found if line["event"] == event]

    (request,) = lines("config_service", "request")
    (attempt,) = lines("webhook_dispatcher", "attempt")
    assert request["trace_id"] == attempt["trace_id"] == trace_id
    assert attempt["type"] == CREATED
