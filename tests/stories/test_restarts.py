"""A restart in the middle of everything: services are killed under load, and every accepted request has its effects."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.demo.evidence import Evidence, header
from deploy.local.demo.receiver import Receiver, receiving
from deploy.local.demo.upstream import Answer, Upstream, upstream_of
from deploy.local.services import RunningSystem
from deploy.local.topics import records_of
from shared.contracts import ORDERS_EVENTS, OrderCancelled, OrderPlaced
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.kafka import Kafka
from tests.conftest import eventually

ACCOUNTS = 24
ORDERS_EACH = 4


@dataclass
class Ledger:
    """What was asked for and answered, kept outside the system."""

    accounts: list[str] = field(default_factory=list)
    #: order -> account, of every order that was answered 201
    orders: dict[str, str] = field(default_factory=dict)


class Client:
    """An upstream service that tries again while a service is away; no request of it is given up."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def call(self, service: str, method: str, path: str, body: Any = None, *, done: tuple[int, ...]) -> Answer:
        deadline = asyncio.get_running_loop().time() + 60
        # One key however often it is asked: what was done and not answered is not done again.
        key = uuid4()
        while True:
            try:
                answer = await self._upstream.call(service, method, path, body, key=key)
            except (aiohttp.ClientError, TimeoutError, OSError):
                answer = Answer(503, b"")
            if answer.status in done:
                return answer
            assert answer.status == 503, answer
            assert asyncio.get_running_loop().time() < deadline, f"{method} {path} was not answered in time"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def people(system: RunningSystem) -> AsyncIterator[tuple[Client, Upstream, Kafka, Receiver]]:
    kafka = Kafka(system.stack.kafka, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], client_id="restarts")
    async with receiving() as receiver, upstream_of(system, kafka) as upstream:
        await upstream.sign_in()
        yield Client(upstream), upstream, kafka, receiver


async def configured_accounts(client: Client) -> list[str]:
    item = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
    body = {"allocation": [item]}
    made = await client.call("config_service", "POST", "/portfolios/allocations", body, done=(201,))
    accounts = []
    for _ in range(ACCOUNTS):
        account = {"user_id": str(uuid4()), "type": "PORTFOLIO"}
        opened = await client.call("config_service", "POST", "/accounts", account, done=(201,))
        accounts.append(opened.json["account_id"])
        link = {"account_id": accounts[-1], "allocation_id": made.json["allocation_id"]}
        await client.call("config_service", "POST", "/portfolios/configurations", link, done=(201,))
    return accounts


async def life_of(account: str, client: Client, ledger: Ledger) -> None:
    """Orders are placed, then the configuration is deleted, however often that has to be asked for."""
    order = {
        "user_id": str(uuid4()),
        "account_id": account,
        "cash_amount": "10.00",
        "currency": "EUR",
        "side": "BUY",
    }
    for _ in range(ORDERS_EACH):
        placed = await client.call("order_service", "POST", "/portfolios/orders", order, done=(201,))
        ledger.orders[placed.json["id"]] = account
    # An answer that was lost with its process makes the repetition a 404.
    await client.call("config_service", "DELETE", f"/portfolios/configurations/{account}", done=(204, 404))


async def kill_and_restart(system: RunningSystem, name: str) -> None:
    service = system.services[name]
    await asyncio.to_thread(service.kill)
    await asyncio.to_thread(service.restart)


@pytest.mark.timeout(180)
async def test_services_killed_under_load_lose_nothing_double_nothing_and_keep_the_gate(
    system: RunningSystem,
) -> None:
    async with people(system) as (client, upstream, kafka, receiver):
        ledger = Ledger(accounts=await configured_accounts(client))
        hooks = {
            "title": "t",
            "url": f"{receiver.url}/hooks",
            "type": ["PORTFOLIO_ORDER", "REBALANCING_EXECUTION_ORDER"],
        }
        made = await client.call("webhook_dispatcher", "POST", "/webhooks", hooks, done=(201,))
        receiver.secret = made.json["secret"]

        async def nemesis() -> None:
            for name in ("order_service", "webhook_dispatcher", "config_service"):
                await kill_and_restart(system, name)

        await asyncio.gather(nemesis(), *(life_of(account, client, ledger) for account in ledger.accounts))
        suppressed = [await upstream.rebalance(account) for account in ledger.accounts]
        evidence = Evidence(system, kafka)

        await every_order_is_cancelled(evidence, ledger)
        await every_order_was_announced_once(kafka, ledger)
        await eventually(lambda: all_cancellations_arrived(receiver, ledger), seconds=60)
        await eventually(lambda: all_suppressed(evidence, suppressed), seconds=60)

    assert receiver.forged == 0
    assert not [event for event in receiver.events if event["type"].startswith("REBALANCING")]


async def every_order_is_cancelled(evidence: Evidence, ledger: Ledger) -> None:
    query = "SELECT id::text, status, cancellation_reason FROM orders WHERE account_id = ANY($1::uuid[])"

    async def none_is_new() -> list[dict[str, Any]]:
        rows = await evidence.rows("order_service", query, ledger.accounts)
        return rows if all(row["status"] == "CANCELLED" for row in rows) else []

    rows = await eventually(none_is_new, seconds=60)
    assert {row["id"] for row in rows} >= ledger.orders.keys(), "what was answered 201 is there"
    assert {row["cancellation_reason"] for row in rows} == {"CONFIGURATION_DELETED"}


async def every_order_was_announced_once(kafka: Kafka, ledger: Ledger) -> None:
    async def announced() -> dict[str, Counter[str]]:
        ids: dict[str, set[tuple[str, str]]] = {"OrderPlaced": set(), "OrderCancelled": set()}
        for record in await records_of(kafka, ORDERS_EVENTS.name, DEFAULT_PARTITIONS):
            kind = header(record, "ce_type") or ""
            if kind in ids:
                body = (OrderPlaced if kind == "OrderPlaced" else OrderCancelled).model_validate_json(record.value)
                ids[kind].add((str(body.id), header(record, "ce_id") or ""))
        return {kind: Counter(order for order, _ in pairs) for kind, pairs in ids.items()}

    async def all_announced() -> dict[str, Counter[str]]:
        found = await announced()
        return found if all(found[kind].keys() >= ledger.orders.keys() for kind in found) else {}

    found = await eventually(all_announced, seconds=60)
    for kind, counts in found.items():
        assert {counts[order] for order in ledger.orders} == {1}, f"one {kind} for each, copies have the same id"


async def all_cancellations_arrived(receiver: Receiver, ledger: Ledger) -> bool:
    arrived = {each["object"]["id"] for each in receiver.events if each["type"] == "PORTFOLIO_ORDER.CANCELLED"}
    return arrived >= ledger.orders.keys()


async def all_suppressed(evidence: Evidence, events: list[str]) -> bool:
    query = "SELECT event_id, state FROM deliveries WHERE event_id = ANY($1::text[])"
    rows = await evidence.rows("webhook_dispatcher", query, events)
    return {row["event_id"] for row in rows if row["state"] == "SUPPRESSED"} == set(events)
