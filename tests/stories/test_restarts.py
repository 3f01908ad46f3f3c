"""Services are killed, or rolled one at a time, in the middle of everything: every request has its effects, once."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Protocol
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.demo.evidence import Evidence, header
from deploy.local.demo.receiver import Receiver, receiving
from deploy.local.demo.upstream import Answer, Upstream, upstream_of
from deploy.local.services import RunningSystem
from deploy.local.topics import records_of
from shared.contracts import ORDERS_EVENTS, OrderCancelled, OrderPlaced
from shared.kit.kafka import Kafka
from tests.conftest import eventually

from .asking import order_of

ACCOUNTS = 24
ORDERS_EACH = 4
#: what is asked at the same time while services are rolled
LIVES = 4
#: accounts that are there before it begins; no more are traded in than there is time for
PLENTY = 60
SERVICES = ("order_service", "webhook_dispatcher", "config_service")
SECOND = "-2"


@dataclass
class Ledger:
    """What was asked for and answered, kept outside the system."""

    accounts: list[str] = field(default_factory=list)
    #: order -> account, of every order that was answered 201
    orders: dict[str, str] = field(default_factory=dict)


class Client(Protocol):
    """An upstream service."""

    async def call(self, service: str, method: str, path: str, body: Any = None, *, done: tuple[int, ...]) -> Answer:
        """Ask until it is answered with one of `done`."""


class PatientClient:
    """One that tries again while a service is away; no request of it is given up."""

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


class BalancedClient:
    """One that asks either replica, and the other where nobody takes its connection; any answer is the last."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._replicas = cycle(("", SECOND))
        self.refused = 0

    async def call(self, service: str, method: str, path: str, body: Any = None, *, done: tuple[int, ...]) -> Answer:
        key = uuid4()
        # A replica that is stopped may be chosen twice, when others ask in between.
        for replica in islice(self._replicas, 20):
            try:
                answer = await self._upstream.call(service, method, path, body, key=key, replica=service + replica)
            except aiohttp.ClientOSError:
                self.refused += 1
                continue
            assert answer.status in done, answer
            return answer
        pytest.fail(f"nobody takes a connection for {method} {path}")


@asynccontextmanager
async def people(system: RunningSystem) -> AsyncIterator[tuple[Client, Upstream, Kafka, Receiver]]:
    kafka = Kafka(system.stack.kafka, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], client_id="restarts")
    async with receiving() as receiver, upstream_of(system, kafka) as upstream:
        await upstream.sign_in()
        yield PatientClient(upstream), upstream, kafka, receiver


def hooks_at(receiver: Receiver) -> dict[str, Any]:
    types = ["PORTFOLIO_ORDER", "REBALANCING_EXECUTION_ORDER"]
    return {"title": "t", "url": f"{receiver.url}/hooks", "type": types}


async def configured_accounts(client: Client, accounts: int = ACCOUNTS) -> list[str]:
    item = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
    body = {"allocation": [item]}
    made = await client.call("config_service", "POST", "/portfolios/allocations", body, done=(201,))
    opened_accounts = []
    for _ in range(accounts):
        account = {"user_id": str(uuid4()), "type": "PORTFOLIO"}
        opened = await client.call("config_service", "POST", "/accounts", account, done=(201,))
        opened_accounts.append(opened.json["account_id"])
        link = {"account_id": opened_accounts[-1], "allocation_id": made.json["allocation_id"]}
        await client.call("config_service", "POST", "/portfolios/configurations", link, done=(201,))
    return opened_accounts


async def life_of(account: str, client: Client, ledger: Ledger) -> None:
    """Orders are placed, then the configuration is deleted, however often that has to be asked for."""
    for _ in range(ORDERS_EACH):
        placed = await client.call("order_service", "POST", "/portfolios/orders", order_of(account), done=(201,))
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
        made = await client.call("webhook_dispatcher", "POST", "/webhooks", hooks_at(receiver), done=(201,))
        receiver.secret = made.json["secret"]

        async def nemesis() -> None:
            for name in SERVICES:
                await kill_and_restart(system, name)

        await asyncio.gather(nemesis(), *(life_of(account, client, ledger) for account in ledger.accounts))
        await all_is_as_it_must_be(system, kafka, upstream, receiver, ledger)


@pytest.mark.timeout(240)
async def test_every_service_is_rolled_under_load_and_no_request_fails(system: RunningSystem) -> None:
    kafka = Kafka(system.stack.kafka, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], client_id="rolling")
    # A connection for each request: one that was kept could be closed in the moment in which it is used again.
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        both_replicas(system),
        receiving() as receiver,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        upstream = Upstream(system, kafka, session)
        await upstream.sign_in()
        client, over = BalancedClient(upstream), asyncio.Event()
        ledger = Ledger(accounts=await configured_accounts(client, PLENTY))
        made = await client.call("webhook_dispatcher", "POST", "/webhooks", hooks_at(receiver), done=(201,))
        receiver.secret = made.json["secret"]

        async def rolling() -> None:
            for name in SERVICES:
                for label in (name, name + SECOND):
                    await roll(system, label)
            over.set()

        untouched = iter(list(ledger.accounts))
        await eventually(lambda: all_are_heard_of(Evidence(system, kafka), ledger))

        async def living() -> None:
            while not over.is_set():
                # Orders come for accounts that were known before: others may have to wait while a group is divided.
                ledger.accounts += await configured_accounts(client, 1)
                for account in islice(untouched, 1):
                    await life_of(account, client, ledger)

        async with asyncio.TaskGroup() as everybody:
            everybody.create_task(rolling())
            for _ in range(LIVES):
                everybody.create_task(living())
        for account in ledger.accounts:
            path = f"/portfolios/configurations/{account}"
            await client.call("config_service", "DELETE", path, done=(204, 404))
        await all_is_as_it_must_be(system, kafka, upstream, receiver, ledger)
        await upstream.close()

    assert client.refused, "nobody was away"


@asynccontextmanager
async def both_replicas(system: RunningSystem) -> AsyncIterator[None]:
    """Another process of every service, for the length of the block."""
    labels = [name + SECOND for name in SERVICES]
    try:
        for name, label in zip(SERVICES, labels, strict=True):
            system.start(name, label=label)
        for label in labels:
            await asyncio.to_thread(system.services[label].wait_ready)
        yield
    finally:
        for label in labels:
            process = system.services.pop(label, None)
            if process is not None:
                await asyncio.to_thread(process.stop)


async def roll(system: RunningSystem, label: str) -> None:
    """Stop a process as an orchestrator does, and start the one that takes its place."""
    service = system.services[label]
    service.send_signal(signal.SIGTERM)

    async def ended() -> bool:
        return not await asyncio.to_thread(service.alive)

    await eventually(ended, seconds=40)
    assert service.exit_code() == 0, "it ended before what was in flight had"
    service.start_again()
    await asyncio.to_thread(service.wait_ready)


async def all_are_heard_of(evidence: Evidence, ledger: Ledger) -> bool:
    query = "SELECT account_id FROM accounts WHERE status IS NOT NULL AND configured AND account_id = ANY($1::uuid[])"
    return len(await evidence.rows("order_service", query, ledger.accounts)) == len(ledger.accounts)


async def all_is_as_it_must_be(
    system: RunningSystem, kafka: Kafka, upstream: Upstream, receiver: Receiver, ledger: Ledger
) -> None:
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
        for record in await records_of(kafka, ORDERS_EVENTS.name):
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
