"""The whole service: states come over Kafka, orders over HTTP, events go out to their topics."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contracts import AccountStatus, AccountType, CancelRebalancing, Message, RequestRebalancing
from shared.kit.service import Role, Service, run
from tests.conftest import eventually

from .issuer import Issuer
from .world import Sent, World, account_state, configured, deleted, portfolio_state


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Caller:
    """A client of the running service, which also is its upstream on Kafka."""

    service: Service
    world: World
    issuer: Issuer
    producer: AIOKafkaProducer
    session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, *, scopes: str = "orders:admin", with_key: bool = True, **options: Any
    ) -> Answer:
        token = self.issuer.token(self.world.client_id, scopes)
        settings = self.service.settings
        url = f"http://{settings.http_host}:{settings.http_port}{path}"
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        if method == "POST" and with_key:
            headers.setdefault("Idempotency-Key", str(uuid4()))
        async with self.session.request(method, url, headers=headers, **options) as response:
            body = await response.json(content_type=None) if await response.read() else None
            return Answer(response.status, response.headers, body)

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
    assert listed.body["meta"]["total_count"] == 1
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


async def test_an_amount_finer_than_its_currency_is_well_formed_and_cannot_be_carried_out(caller: Caller) -> None:
    refused = await caller.place(await caller.an_account(version=1), cash_amount="1.234")
    assert (refused.status, refused.body["errors"][0]["location"]) == (422, "body.cash_amount")


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

    assert (requested.status, requested.body["cancelled_at"]) == (201, None)
    assert shown.body == {
        **requested.body, "pending": 0, "orders": {"NEW": 1, "PROCESSING": 0, "FILLED": 0, "CANCELLED": 2},
    }  # fmt: skip
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
        "offset": 0, "limit": 2, "count": 2, "total_count": 5, "sort": "created_at", "order": "desc",
        "next_cursor": first["meta"]["next_cursor"],
    }  # fmt: skip
    assert [order["id"] for order in oldest["data"]] == ids[:1]


async def test_an_order_asked_for_again_under_its_key_is_placed_once(caller: Caller) -> None:
    account_id, key = await caller.an_account(version=1), {"Idempotency-Key": str(uuid4())}
    body = order_body(account_id)

    first, *others = await asyncio.gather(
        *(caller.ask("POST", "/portfolios/orders", json=body, headers=key) for _ in range(10))
    )
    again = await caller.ask("POST", "/portfolios/orders", json=body, headers=key)
    changed = await caller.ask("POST", "/portfolios/orders", json={**body, "side": "SELL"}, headers=key)

    assert {answer.status for answer in (first, *others)} <= {201, 409}
    placed = {answer.body["id"] for answer in (first, *others, again) if answer.status == 201}
    assert (again.status, again.headers["Idempotency-Replayed"], changed.status) == (201, "true", 422)
    listed = await caller.ask("GET", f"/portfolios/orders?account_id={account_id}")
    assert [order["id"] for order in listed.body["data"]] == list(placed)


async def test_a_refused_order_may_be_asked_for_again_under_its_key(caller: Caller) -> None:
    account_id, key = await caller.an_account(), {"Idempotency-Key": str(uuid4())}
    body = order_body(account_id)
    refused = await caller.ask("POST", "/portfolios/orders", json=body, headers=key)
    await caller.told(configured(account_id, 1))
    placed = await caller.ask("POST", "/portfolios/orders", json=body, headers=key)
    assert (refused.status, placed.status) == (422, 201)


@pytest.mark.parametrize("path", ["/portfolios/orders", "/portfolios/rebalancings/executions"])
async def test_a_key_is_required_to_make_anything(caller: Caller, path: str) -> None:
    without = await caller.ask("POST", path, with_key=False, json={})
    assert (without.status, without.body["type"]) == (400, "/problems/missing_idempotency_key")


async def test_orders_are_listed_by_account_allocation_status_and_dates(caller: Caller) -> None:
    allocation_id, account_id, other_id = uuid4(), await caller.an_account(), await caller.an_account(version=1)
    await caller.told(configured(account_id, 1, allocation_id=allocation_id))
    mine = (await caller.place(account_id)).body
    cancelled = (await caller.place(account_id)).body
    await caller.place(other_id)
    await caller.ask("DELETE", f"/portfolios/orders/{cancelled['id']}")
    day = mine["created_at"][:10]

    async def ids(query: str) -> list[str]:
        answer = await caller.ask("GET", f"/portfolios/orders?{query}&order=asc")
        return [order["id"] for order in answer.body["data"]]

    assert await ids(f"allocation_id={allocation_id}") == [mine["id"], cancelled["id"]]
    assert await ids(f"allocation_id={allocation_id}&status=CANCELLED") == [cancelled["id"]]
    assert await ids(f"account_id={account_id}&start_date={day}&end_date={cancelled['created_at']}") == [
        mine["id"], cancelled["id"],
    ]  # fmt: skip
    assert await ids(f"account_id={account_id}&start_date={cancelled['created_at']}") == [cancelled["id"]]
    assert await ids(f"account_id={account_id}&end_date={mine['created_at']}") == [mine["id"]]
    assert await ids(f"account_id={account_id}&end_date=2000-01-01") == []


async def test_a_cursor_goes_on_where_the_page_before_ended(caller: Caller) -> None:
    account_id = await caller.an_account(version=1)
    ids = [(await caller.place(account_id)).body["id"] for _ in range(3)]
    path = f"/portfolios/orders?account_id={account_id}&limit=2"
    first = (await caller.ask("GET", path)).body
    second = (await caller.ask("GET", f"{path}&cursor={first['meta']['next_cursor']}")).body
    foreign = await caller.ask("GET", f"/portfolios/orders?limit=2&cursor={first['meta']['next_cursor']}")
    assert [order["id"] for order in first["data"] + second["data"]] == ids[::-1]
    assert (second["meta"]["next_cursor"], second["meta"]["total_count"], foreign.status) == (None, None, 400)


async def test_an_order_is_refused_while_the_portfolio_is_blocked_and_taken_once_it_is_active(caller: Caller) -> None:
    portfolio_id = uuid4()
    await caller.told(portfolio_state(portfolio_id))
    account_id = await caller.an_account(version=1, portfolio_id=portfolio_id)
    assert (await caller.place(account_id)).status == 201

    async def is_blocked() -> bool:
        answer = await caller.place(account_id)
        return answer.status == 422 and "BLOCKED" in answer.body["detail"]

    for revision in range(2, 8, 2):
        await caller.told(portfolio_state(portfolio_id, revision=revision, blocked=True))
        await eventually(is_blocked)
        # The answer is right at once: what was told a moment ago is waited for before anything is refused.
        await caller.told(portfolio_state(portfolio_id, revision=revision + 1))
        assert (await caller.place(account_id)).status == 201


async def test_a_rebalancing_is_cancelled_as_a_whole(caller: Caller) -> None:
    accounts = [await caller.an_account(version=1) for _ in range(3)]
    path = "/portfolios/rebalancings/executions"
    requested = await caller.ask("POST", path, json={"accounts": [str(each) for each in accounts]})
    where = requested.headers["Location"]

    cancelled = await caller.ask("DELETE", where)
    shown = await caller.ask("GET", where)
    again = await caller.ask("DELETE", where)
    unknown = await caller.ask("DELETE", f"{path}/{uuid4()}")
    listed = await caller.ask("GET", f"{where}/orders?status=CANCELLED&account_id={accounts[0]}")
    executions = await caller.ask("GET", path)

    assert (cancelled.status, cancelled.body, again.status, unknown.status) == (204, None, 204, 404)
    assert (shown.body["orders"]["NEW"], shown.body["orders"]["CANCELLED"]) == (0, 3)
    assert shown.body["cancelled_at"] is not None
    (order,) = listed.body["data"]
    assert (order["account_id"], order["cancellation_reason"]) == (str(accounts[0]), "CANCELLED_BY_CLIENT")
    assert [each["id"] for each in executions.body["data"]] == [requested.body["id"]]


async def test_a_rebalancing_of_more_accounts_than_a_share_is_answered_first_and_then_finished(caller: Caller) -> None:
    accounts = [str(uuid4()) for _ in range(2500)]
    requested = await caller.ask("POST", "/portfolios/rebalancings/executions", json={"accounts": accounts})

    async def is_made() -> bool:
        shown = (await caller.ask("GET", requested.headers["Location"])).body
        return bool(shown["pending"] == 0)

    await eventually(is_made, seconds=60)
    shown = (await caller.ask("GET", requested.headers["Location"])).body
    assert (requested.status, shown["orders"]["CANCELLED"]) == (201, 2500)


async def test_a_rebalancing_asked_for_by_command_is_made_and_cancelled_by_the_running_service(caller: Caller) -> None:
    account_id, execution_id = await caller.an_account(version=1), uuid4()
    path = f"/portfolios/rebalancings/executions/{execution_id}"
    await caller.told(RequestRebalancing(execution_id=execution_id, accounts=(account_id,)))

    async def stands(status: str) -> bool:
        answer = await caller.ask("GET", path)
        return answer.status == 200 and bool(answer.body["orders"][status] == 1)

    await eventually(partial(stands, "NEW"))
    await caller.told(CancelRebalancing(execution_id=execution_id))
    await eventually(partial(stands, "CANCELLED"))
    events = await _read(caller.service, "rebalancings.events.v1", account_id, 2)
    assert [type_ for type_, _ in events] == ["RebalancingOrderCreated", "RebalancingOrderCancelled"]
