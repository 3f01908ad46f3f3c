"""The whole service: states come over Kafka, orders over HTTP, events go out to their topics."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contracts import AccountStatus, AccountType, Message
from shared.kit.service import Role, Service, run
from tests.conftest import eventually

from .issuer import Issuer
from .world import Sent, World, account_state, configured, deleted


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Caller:
    """A client of the running service, which also is its upstream on Kafka."""

    service: Service
    world: World
    issuer: Issuer
    producer: AIOKafkaProducer
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, *, scopes: str = "orders:admin", **options: Any) -> Answer:
        token = self.issuer.token(self.world.client_id, scopes)
        settings = self.service.settings
        url = f"http://{settings.http_host}:{settings.http_port}{path}"
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        async with self.session.request(method, url, headers=headers, **options) as response:
            body = await response.json(content_type=None) if await response.read() else None
            return Answer(response.status, dict(response.headers), body)

    async def told(self, *messages: Message | Sent) -> None:
        """Put messages on their topics, without waiting for anybody to take them."""
        for message in messages:
            record = (message if isinstance(message, Sent) else self.world.sent(message)).record
            await self.producer.send_and_wait(
                self.service.kafka.physical(record.topic), key=record.key, value=record.value, headers=record.headers
            )

    async def an_account(self, version: int = 0, **changed: Any) -> UUID:
        account_id = uuid4()
        await self.told(account_state(account_id, **changed), *([configured(account_id, version)] if version else []))
        return account_id

    async def place(self, account: UUID, **changed: Any) -> Answer:
        return await self.ask("POST", "/portfolios/orders", json=order_body(account, **changed))

    async def status_of(self, order_id: str) -> str:
        status: str = (await self.ask("GET", f"/portfolios/orders/{order_id}")).body["status"]
        return status


def order_body(account: UUID, **changed: Any) -> dict[str, Any]:
    told = {
        "user_id": str(uuid4()),
        "account_id": str(account),
        "cash_amount": "100.00",
        "currency": "EUR",
        "side": "BUY",
    }
    return {**told, **changed}


@pytest.fixture(scope="module")
async def running(service: Service) -> AsyncIterator[Service]:
    """The service with all its roles, as one task of the test's own process."""
    task = asyncio.create_task(run(service, frozenset(Role)))
    settings = service.settings
    ready = f"http://{settings.http_host}:{settings.http_port}/health/ready?role=all"
    async with aiohttp.ClientSession() as session:

        async def is_ready() -> bool:
            assert not task.done(), task.exception()
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(ready) as response:
                    return response.status == 200
            return False

        await eventually(is_ready, seconds=30)
    yield service
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.fixture
async def caller(running: Service, world: World, issuer: Issuer) -> AsyncIterator[Caller]:
    producer = AIOKafkaProducer(bootstrap_servers=running.settings.kafka)
    await producer.start()
    async with aiohttp.ClientSession() as session:
        yield Caller(running, world, issuer, producer, session)
    await producer.stop()


async def _read(service: Service, topic: str, key: UUID, wanted: int) -> list[tuple[str, bytes]]:
    """The types and bodies of a key's first records on a topic."""
    consumer = AIOKafkaConsumer(
        service.kafka.physical(topic),
        bootstrap_servers=service.settings.kafka,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    found: list[tuple[str, bytes]] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < wanted:
                record = await consumer.getone()
                if record.key == str(key).encode():
                    found.append((dict(record.headers)["ce_type"].decode(), record.value))
    finally:
        await consumer.stop()
    return found


async def test_an_order_is_placed_read_listed_and_cancelled(caller: Caller) -> None:
    account_id = await caller.an_account(version=1)

    placed = await caller.place(account_id, client_reference="Sparplan ä")
    read = await caller.ask("GET", placed.headers["Location"], scopes="orders:read")
    listed = await caller.ask("GET", f"/portfolios/orders?account_id={account_id}&status=NEW&limit=5")
    cancelled = await caller.ask("DELETE", placed.headers["Location"])
    again = await caller.ask("DELETE", placed.headers["Location"])

    assert (placed.status, placed.body["status"], placed.body["cash_amount"]) == (201, "NEW", "100.00")
    assert read.body == placed.body
    assert listed.body["data"] == [placed.body]
    assert listed.body["meta"]["total_count"] is None
    assert (cancelled.status, cancelled.body) == (204, None)
    assert (again.status, again.body["type"]) == (409, "/problems/conflict")
    assert "CANCELLED" in again.body["detail"]
    events = await _read(caller.service, "orders.events.v1", account_id, 2)
    assert [type_ for type_, _ in events] == ["OrderPlaced", "OrderCancelled"]


async def test_a_deletion_on_kafka_cancels_the_order_that_http_placed(caller: Caller) -> None:
    account_id = await caller.an_account(version=1)
    placed = await caller.place(account_id)

    await caller.told(deleted(account_id, 1))

    async def is_cancelled() -> bool:
        return await caller.status_of(placed.body["id"]) == "CANCELLED"

    await eventually(is_cancelled)
    events = await _read(caller.service, "orders.events.v1", account_id, 2)
    assert [type_ for type_, _ in events] == ["OrderPlaced", "OrderCancelled"]
    assert b'"cancellation_reason":"CONFIGURATION_DELETED"' in events[1][1]
    assert (await caller.place(account_id)).status == 422


async def test_nothing_is_refused_before_the_copies_have_what_kafka_has(caller: Caller) -> None:
    # What was told a moment ago is not in the copies yet: the barrier makes the first answer right, every time.
    for _ in range(10):
        assert (await caller.place(await caller.an_account(version=1))).status == 201


async def test_a_configuration_version_is_waited_for_and_then_refused_for_now(caller: Caller) -> None:
    account_id = await caller.an_account(version=1)
    await caller.place(account_id)

    placing = asyncio.create_task(caller.place(account_id, configuration_version=2))
    await caller.told(deleted(account_id, 1), configured(account_id, 2))
    never = await caller.place(account_id, configuration_version=7)
    older = await caller.place(account_id, configuration_version=1)

    assert (await placing).body["configuration_version"] == 2
    assert (never.status, never.headers["Retry-After"]) == (409, "1")
    assert (older.status, "Retry-After" in older.headers) == (409, False)


@pytest.mark.parametrize(
    ("version", "changed"), [(0, {}), (1, {"status": AccountStatus.LOCKED}), (0, {"type": AccountType.TRADING})]
)
async def test_accounts_that_cannot_take_orders_are_refused(
    caller: Caller, version: int, changed: dict[str, Any]
) -> None:
    refused = await caller.place(await caller.an_account(version, **changed))
    assert (refused.status, refused.body["type"]) == (422, "/problems/unprocessable_entity")


async def test_what_belongs_to_another_client_is_not_found(caller: Caller, issuer: Issuer) -> None:
    account_id = await caller.an_account(version=1)
    placed = await caller.place(account_id)
    stranger = Caller(caller.service, World(caller.service), issuer, caller.producer, caller.session)
    path = placed.headers["Location"]

    answers = [
        await stranger.place(account_id),
        await stranger.ask("GET", path),
        await stranger.ask("DELETE", path),
    ]

    assert [answer.status for answer in answers] == [404, 404, 404]
    assert (await stranger.ask("GET", f"/portfolios/orders?account_id={account_id}")).body["data"] == []
    assert await caller.status_of(placed.body["id"]) == "NEW"


@pytest.mark.parametrize(
    ("changed", "location"),
    [
        ({"cash_amount": 100}, "body.cash_amount"),
        ({"cash_amount": "-1"}, "body.cash_amount"),
        ({"cash_amount": "0"}, "body.cash_amount"),
        ({"cash_amount": "1.234"}, "body.cash_amount"),
        ({"currency": "EURO"}, "body.currency"),
        ({"currency": "ABC"}, "body.currency"),
        ({"side": "HOLD"}, "body.side"),
        ({"account_id": "24c230eb-5d4f-4462-9af8-6612e7bd3afg"}, "body.account_id"),
        ({"user_id": None}, "body.user_id"),
        ({"configuration_version": 0}, "body.configuration_version"),
        ({"client_reference": "x" * 257}, "body.client_reference"),
        ({"status": "NEW"}, "body.status"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_written(
    caller: Caller, changed: dict[str, Any], location: str
) -> None:
    account_id = await caller.an_account(version=1)
    refused = await caller.place(account_id, **changed)
    assert refused.status == 400
    assert [error["location"] for error in refused.body["errors"]] == [location]
    assert (await caller.ask("GET", f"/portfolios/orders?account_id={account_id}")).body["data"] == []


async def test_scopes_decide_who_may_place_and_who_may_read(caller: Caller) -> None:
    account_id = await caller.an_account(version=1)
    placing = await caller.ask("POST", "/portfolios/orders", scopes="orders:read", json=order_body(account_id))
    reading = await caller.ask("GET", "/portfolios/orders", scopes="accounts:admin")
    nobody = await caller.ask("GET", "/portfolios/orders", headers={"Authorization": "Bearer nonsense"})
    assert (placing.status, reading.status, nobody.status) == (403, 403, 401)


async def test_a_rebalancing_is_requested_and_its_orders_are_read_by_either_route(caller: Caller) -> None:
    fine, bare = await caller.an_account(version=1), await caller.an_account()
    path = "/portfolios/rebalancings/executions"

    requested = await caller.ask("POST", path, json={"accounts": [str(fine), str(bare), str(uuid4())]})
    shown = await caller.ask("GET", requested.headers["Location"])
    listed = await caller.ask("GET", f"{requested.headers['Location']}/orders")

    assert (requested.status, shown.body) == (201, requested.body)
    reasons = [order["cancellation_reason"] for order in listed.body["data"]]
    assert sorted(map(str, reasons)) == ["ACCOUNT_NOT_FOUND", "CONFIGURATION_IS_MISSING", "None"]
    (new,) = [order for order in listed.body["data"] if order["status"] == "NEW"]
    assert (await caller.ask("GET", f"/portfolios/orders/{new['id']}")).body == new
    assert (new["kind"], new["execution_id"], new["side"]) == ("REBALANCING", requested.body["id"], None)
    assert (await caller.ask("DELETE", f"/portfolios/orders/{new['id']}")).status == 204
    events = await _read(caller.service, "rebalancings.events.v1", fine, 2)
    assert [type_ for type_, _ in events] == ["RebalancingOrderCreated", "RebalancingOrderCancelled"]


async def test_a_rebalancing_of_an_allocation_sees_the_accounts_that_were_configured_a_moment_ago(
    caller: Caller,
) -> None:
    account_id, allocation_id = await caller.an_account(), uuid4()
    await caller.told(configured(account_id, 1, allocation_id=allocation_id))
    requested = await caller.ask(
        "POST", "/portfolios/rebalancings/executions", json={"allocations": [str(allocation_id)]}
    )
    listed = await caller.ask("GET", f"{requested.headers['Location']}/orders")
    assert [order["account_id"] for order in listed.body["data"]] == [str(account_id)]


@pytest.mark.parametrize("body", [{}, {"accounts": []}, {"accounts": [str(uuid4())], "allocations": [str(uuid4())]}])
async def test_a_rebalancing_names_exactly_one_of_accounts_and_allocations(
    caller: Caller, body: dict[str, Any]
) -> None:
    assert (await caller.ask("POST", "/portfolios/rebalancings/executions", json=body)).status == 400


async def test_an_execution_of_another_client_is_not_found(caller: Caller, issuer: Issuer) -> None:
    account_id = await caller.an_account(version=1)
    requested = await caller.ask("POST", "/portfolios/rebalancings/executions", json={"accounts": [str(account_id)]})
    stranger = Caller(caller.service, World(caller.service), issuer, caller.producer, caller.session)
    assert (await stranger.ask("GET", requested.headers["Location"])).status == 404
    assert (await stranger.ask("GET", f"{requested.headers['Location']}/orders")).status == 404


async def test_lists_come_newest_first_and_in_pages(caller: Caller) -> None:
    account_id = await caller.an_account(version=1)
    ids = [(await caller.place(account_id)).body["id"] for _ in range(5)]
    path = f"/portfolios/orders?account_id={account_id}"

    first = (await caller.ask("GET", f"{path}&limit=2")).body
    second = (await caller.ask("GET", f"{path}&limit=2&offset=2")).body
    oldest = (await caller.ask("GET", f"{path}&limit=1&order=asc")).body

    assert [order["id"] for order in first["data"] + second["data"]] == ids[:0:-1]
    assert first["meta"] == {
        "offset": 0, "limit": 2, "count": 2, "total_count": None, "sort": "created_at", "order": "desc",
    }  # fmt: skip
    assert [order["id"] for order in oldest["data"]] == ids[:1]
