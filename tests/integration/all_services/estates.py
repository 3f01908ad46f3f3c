"""Two clients with one of everything each, made over HTTP on the running services."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from yarl import URL

from deploy.local.services import RunningSystem
from services.config_service import use_cases
from shared.kit.auth import TokenIssuer
from shared.kit.outbox import Outbox
from shared.kit.secrets import SecretBox
from shared.kit.settings import async_url
from shared.kit.unit_of_work import Database
from tests.conftest import PARTITIONS, eventually

SCOPES = tuple(
    f"{area}:{level}" for area in ("accounts", "portfolios", "orders", "webhooks", "ops") for level in ("read", "admin")
)
ADMIN = tuple(scope for scope in SCOPES if scope.endswith(":admin"))
ITEMS = [{"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    body: Any


@dataclass
class World:
    """The running services, and who signs their tokens."""

    system: RunningSystem
    issuer: TokenIssuer
    session: aiohttp.ClientSession
    #: where subscriptions of the tests deliver to
    receiver: str

    async def ask(
        self, service: str, method: str, path: str, token: str | None = None, body: Any = None, **headers: str
    ) -> Answer:
        """Send one request; every POST brings an idempotency key of its own."""
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if method == "POST":
            sent.setdefault("Idempotency-Key", str(uuid4()))
        if isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
            content: dict[str, Any] = {"data": io.BytesIO(body)}
        else:
            content = {} if body is None else {"json": body}
        url = URL(self.system.urls[service] + path, encoded=True)
        async with self.session.request(method, url, headers=sent, allow_redirects=False, **content) as response:
            text = await response.text()
            parsed = await response.json(content_type=None) if "json" in response.content_type and text else None
            return Answer(response.status, dict(response.headers), text, parsed)

    def token(self, client_id: UUID, *scopes: str, lifetime: int = 600) -> str:
        return self.issuer.issue(client_id, scopes or ADMIN, lifetime)

    async def made(self, client_id: UUID, service: str, path: str, body: Any) -> dict[str, Any]:
        answer = await self.ask(service, "POST", path, self.token(client_id), body)
        assert answer.status == 201, (path, answer.text)
        made: dict[str, Any] = answer.body
        return made


@dataclass
class Estate:
    """One of everything that a client can have; `ids` by the names that paths and bodies use for them."""

    client_id: UUID
    ids: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> str:
        try:
            return self.ids[name]
        except KeyError:
            raise AttributeError(name) from None


@asynccontextmanager
async def world_of(system: RunningSystem, receiver: str) -> AsyncIterator[World]:
    """The services with their own keys at hand, so that a token of any kind can be signed."""
    box = SecretBox([system.environment["PORTFOLIO_BUS_SECRET_KEYS"]])
    database = Database(async_url(system.databases["config_service"]), Outbox("/test", PARTITIONS), application="test")
    async with database.unit_of_work() as work:
        issuer = TokenIssuer(await use_cases.signing_keys(work, box))
    await database.close()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield World(system, issuer, session, receiver)


async def an_estate(world: World) -> Estate:
    """Make one of everything; nobody goes on with its recovery."""
    client_id = uuid4()
    estate = Estate(client_id, {"client_id": (await _a_client(world))["client_id"]})
    hook = {"title": "mine", "url": world.receiver, "type": ["ACCOUNT.CREATED"]}
    estate.ids["subscription_id"] = (await world.made(client_id, "webhook_dispatcher", "/webhooks", hook))["id"]
    await _on_the_ledger(world, estate)
    account = {"user_id": str(uuid4()), "type": "PORTFOLIO", "portfolio_id": estate.portfolio_id}
    estate.ids["account_id"] = (await world.made(client_id, "config_service", "/accounts", account))["account_id"]
    allocation = await world.made(client_id, "config_service", "/portfolios/allocations", {"allocation": ITEMS})
    estate.ids["allocation_id"] = allocation["allocation_id"]
    link = {"account_id": estate.account_id, "allocation_id": estate.allocation_id}
    await world.made(client_id, "config_service", "/portfolios/configurations", link)
    execution = {"accounts": [estate.account_id]}
    executions = "/portfolios/rebalancings/executions"
    estate.ids["order_id"] = await eventually(lambda: _an_order(world, estate), every=0.1)
    estate.ids["execution_id"] = (await world.made(client_id, "order_service", executions, execution))["id"]
    estate.ids["delivery_id"] = await eventually(lambda: _a_delivery(world, client_id), every=0.1)
    estate.ids["recovery_id"] = await _a_recovery(world, estate)
    return estate


async def _a_client(world: World) -> dict[str, Any]:
    body = {"name": "a tenant", "scopes": ["accounts:read"]}
    return await world.made(uuid4(), "config_service", "/clients", body)


async def _on_the_ledger(world: World, estate: Estate) -> None:
    base = "/v1/organizations"
    organization = {"legalName": f"A {uuid4()}", "legalDocument": uuid4().hex}
    made = await world.made(estate.client_id, "config_service", base, organization)
    estate.ids["organization_id"] = made["id"]
    base += f"/{made['id']}/ledgers"
    made = await world.made(estate.client_id, "config_service", base, {"name": f"L {uuid4()}"})
    estate.ids["ledger_id"] = made["id"]
    made = await world.made(estate.client_id, "config_service", f"{base}/{made['id']}/portfolios", {"name": "P"})
    estate.ids["portfolio_id"] = made["id"]


async def _an_order(world: World, estate: Estate) -> str | None:
    """The id of an order, as soon as the order service has heard of the account."""
    body = order_body(estate)
    answer = await world.ask("order_service", "POST", "/portfolios/orders", world.token(estate.client_id), body)
    return str(answer.body["id"]) if answer.status == 201 else None


async def _a_delivery(world: World, client_id: UUID) -> str | None:
    answer = await world.ask("webhook_dispatcher", "GET", "/deliveries", world.token(client_id))
    done = [each["id"] for each in answer.body["data"] if each["state"] == "DELIVERED"]
    return done[0] if done else None


async def _a_recovery(world: World, estate: Estate) -> str:
    path, token = f"/webhooks/{estate.subscription_id}/recover", world.token(estate.client_id)
    answer = await world.ask("webhook_dispatcher", "POST", path, token, {"since": "2026-01-31T12:00:00Z"})
    return str(answer.body["id"])


def order_body(estate: Estate, **changed: Any) -> dict[str, Any]:
    told = {
        "user_id": str(uuid4()),
        "account_id": estate.account_id,
        "cash_amount": "100.00",
        "currency": "EUR",
        "side": "BUY",
    }
    return {**told, **changed}


async def both(world: World) -> tuple[Estate, Estate]:
    first, second = await asyncio.gather(an_estate(world), an_estate(world))
    return first, second
