"""The requests of the two originals, their bodies to the letter: only host, ids and headers are the story's own.

What departs from an original is said where it does: the investment API's example has an allocation id that is no UUID
and gets a clear refusal, and a configuration that is made is answered with 201.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from deploy.local.demo.receiver import Receiver, receiving
from deploy.local.demo.upstream import Upstream, upstream_of
from deploy.local.services import RunningSystem
from shared.contracts import StartOrderProcessing
from shared.kit.kafka import Kafka
from tests.conftest import eventually

CONFIGURE = """{
"account_id": "eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c",
"allocation_id": "24c230eb-5d4f-4462-9af8-6612e7bd3afg"
}"""

UPDATE_A_PORTFOLIO = """{
  "name": "High-Value Customer Portfolio - Updated",
  "status": {
    "code": "BLOCKED",
    "description": "Portfolio temporarily blocked due to compliance review"
  },
  "metadata": {
    "riskProfile": "medium",
    "portfolioManager": "wealth-management-team",
    "minBalanceRequirement": 600000,
    "automaticEnrollment": true,
    "eligibilityCriteria": "KYC level 4 and internal credit score > 820",
    "currencyExposure": [
      "USD",
      "BRL",
      "EUR",
      "GBP"
    ],
    "investmentProfile": "balanced"
  }
}"""

#: the fields of the original's answer
PORTFOLIO_FIELDS = {
    *("id", "organizationId", "ledgerId", "entityId", "name"),
    *("status", "metadata", "createdAt", "updatedAt", "deletedAt"),
}

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Integrator:
    """Someone who knows the originals: sends their requests, and reads what is answered."""

    system: RunningSystem
    session: aiohttp.ClientSession
    upstream: Upstream
    token: str
    receiver: Receiver

    async def send(
        self, service: str, method: str, path: str, body: str | dict[str, Any] | None = None, **headers: str
    ) -> Answer:
        """A request with the token and a key of its own; a body that is text goes out as it stands."""
        if isinstance(body, dict):
            body = json.dumps(body)
        own = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if method == "POST":
            own["Idempotency-Key"] = str(uuid4())
        return await self.bare(self.system.urls[service], method, path, body, own | headers)

    async def bare(self, url: str, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
        content = None if body is None else body.encode()
        async with self.session.request(method, url + path, data=content, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def made(self, service: str, path: str, body: str | dict[str, Any]) -> Any:
        answer = await self.send(service, "POST", path, body)
        assert answer.status == 201, answer
        return answer.json

    async def an_account(self, **more: str) -> str:
        body = {"user_id": str(uuid4()), "type": "PORTFOLIO", **more}
        return str((await self.made("config_service", "/accounts", body))["account_id"])

    async def an_allocation(self) -> str:
        item = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
        return str(
            (await self.made("config_service", "/portfolios/allocations", {"allocation": [item]}))["allocation_id"]
        )

    async def ask_for_an_order(self, account: str, **more: Any) -> Answer:
        body = {
            "user_id": str(uuid4()),
            "account_id": account,
            "cash_amount": "10.00",
            "currency": "EUR",
            "side": "BUY",
        }

        async def decided() -> Answer | None:
            answer = await self.send("order_service", "POST", "/portfolios/orders", {**body, **more})
            # 503: what the decision rests on has not come here yet.
            return None if answer.status == 503 else answer

        answer: Answer = await eventually(decided, seconds=60)
        return answer

    async def order(self, order_id: str) -> Any:
        return (await self.send("order_service", "GET", f"/portfolios/orders/{order_id}")).json


@pytest.fixture
async def integrator(system: RunningSystem) -> AsyncIterator[Integrator]:
    kafka = Kafka(system.stack.kafka, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], client_id="originals")
    async with (
        receiving() as receiver,
        upstream_of(system, kafka) as upstream,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):
        await upstream.sign_in()
        (client, *_) = system.clients
        form = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
        async with session.post(f"{system.urls['config_service']}/auth/token", data=form) as response:
            token = (await response.json())["access_token"]
        yield Integrator(system, session, upstream, token, receiver)


def configure(account: str, allocation: str) -> str:
    """The original's body with ids that exist."""
    body = CONFIGURE.replace("eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c", account)
    return body.replace("24c230eb-5d4f-4462-9af8-6612e7bd3afg", allocation)


async def test_the_investment_apis_requests_do_what_its_document_says(integrator: Integrator) -> None:
    account, allocation = await integrator.an_account(), await integrator.an_allocation()
    path = f"/portfolios/configurations/{account}"

    verbatim = await integrator.send("config_service", "POST", "/portfolios/configurations", CONFIGURE)
    assert verbatim.status == 400
    assert [error["location"] for error in verbatim.json["errors"]] == ["body.allocation_id"]

    configured = await integrator.send(
        "config_service", "POST", "/portfolios/configurations", configure(account, allocation)
    )
    assert configured.status == 201
    assert (configured.json["account_id"], configured.json["allocation_id"]) == (account, allocation)
    assert configured.json["version"] == 1

    await subscribe(integrator)
    waiting = (await integrator.ask_for_an_order(account, configuration_version=1)).json["id"]
    started = (await integrator.ask_for_an_order(account, configuration_version=1)).json["id"]
    await integrator.upstream.send(StartOrderProcessing(order_id=UUID(started), account_id=UUID(account)))
    await eventually(lambda: stands(integrator, started, "PROCESSING"))

    deleted = await integrator.send("config_service", "DELETE", path)
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await integrator.send("config_service", "GET", path)).status == 404

    await eventually(lambda: stands(integrator, waiting, "CANCELLED"))
    assert (await integrator.order(waiting))["cancellation_reason"] == "CONFIGURATION_DELETED"
    assert (await integrator.order(started))["status"] == "PROCESSING", "only NEW orders are cancelled"

    stopped = await integrator.upstream.rebalance(account)
    await eventually(lambda: suppressed(integrator, account, stopped))
    assert not integrator.receiver.of(account, "REBALANCING_EXECUTION_ORDER.NEW")

    anew = await integrator.made("config_service", "/portfolios/configurations", configure(account, allocation))
    assert anew["version"] == 2


async def test_one_allocation_serves_many_configurations_and_only_portfolio_accounts_have_one(
    integrator: Integrator,
) -> None:
    allocation = await integrator.an_allocation()
    accounts = [await integrator.an_account() for _ in range(2)]
    for account in accounts:
        await integrator.made("config_service", "/portfolios/configurations", configure(account, allocation))
    trading = await integrator.an_account(type="TRADING")
    refused = await integrator.send(
        "config_service", "POST", "/portfolios/configurations", configure(trading, allocation)
    )
    assert refused.status == 422


async def test_the_ledgers_request_is_answered_with_the_whole_portfolio(integrator: Integrator) -> None:
    base, portfolio = await a_ledger_portfolio(integrator)
    request_id = str(uuid4())

    answer = await integrator.send(
        "config_service", "PATCH", f"{base}/{portfolio}", UPDATE_A_PORTFOLIO, **{"X-Request-Id": request_id}
    )

    assert answer.status == 200, answer
    assert answer.headers["X-Request-Id"] == request_id
    sent, shown = json.loads(UPDATE_A_PORTFOLIO), answer.json
    assert shown.keys() == PORTFOLIO_FIELDS
    assert {name: shown[name] for name in sent} == sent
    assert shown["id"] == portfolio
    assert base == f"/v1/organizations/{shown['organizationId']}/ledgers/{shown['ledgerId']}/portfolios"
    assert shown["entityId"] == "EXT-1", "what was left out stays as it was"
    assert shown["deletedAt"] is None
    assert shown["createdAt"] < shown["updatedAt"]
    assert (await integrator.send("config_service", "GET", f"{base}/{portfolio}")).json == shown


async def test_the_ledgers_request_needs_a_token_only_where_access_is_managed(integrator: Integrator) -> None:
    base, portfolio = await a_ledger_portfolio(integrator)
    path, headers = f"{base}/{portfolio}", {"Content-Type": "application/json"}
    managed = integrator.system.urls["config_service"]
    assert (await integrator.bare(managed, "PATCH", path, UPDATE_A_PORTFOLIO, headers)).status == 401

    client = integrator.system.clients[0].client_id
    open_service = integrator.system.start(
        "config_service", label="open_ledger", roles=["api"], environment={"PORTFOLIO_BUS_LEDGER_CLIENT_ID": client}
    )
    try:
        open_service.wait_ready()
        without = await integrator.bare(open_service.url, "PATCH", path, UPDATE_A_PORTFOLIO, headers)
        own = {**headers, "Authorization": f"Bearer {integrator.token}"}
        with_token = await integrator.bare(open_service.url, "PATCH", path, UPDATE_A_PORTFOLIO, own)
        wrong = {**headers, "Authorization": "Bearer no.token.at-all"}
        with_a_wrong_one = await integrator.bare(open_service.url, "PATCH", path, UPDATE_A_PORTFOLIO, wrong)
    finally:
        open_service.stop()
        del integrator.system.services["open_ledger"]
    assert (without.status, with_token.status, with_a_wrong_one.status) == (200, 200, 401)
    assert without.json["metadata"] == json.loads(UPDATE_A_PORTFOLIO)["metadata"]


async def test_the_ledgers_blocked_portfolio_stops_the_orders_of_its_accounts(integrator: Integrator) -> None:
    base, portfolio = await a_ledger_portfolio(integrator)
    account = await integrator.an_account(portfolio_id=portfolio)
    allocation = await integrator.an_allocation()
    await integrator.made("config_service", "/portfolios/configurations", configure(account, allocation))
    assert (await integrator.ask_for_an_order(account, configuration_version=1)).status == 201

    blocked = await integrator.send("config_service", "PATCH", f"{base}/{portfolio}", UPDATE_A_PORTFOLIO)
    assert blocked.status == 200
    await eventually(lambda: answered(integrator, account, 422))
    execution = await integrator.made("order_service", "/portfolios/rebalancings/executions", {"accounts": [account]})
    orders = f"/portfolios/rebalancings/executions/{execution['id']}/orders"
    (order,) = (await integrator.send("order_service", "GET", orders)).json["data"]
    assert (order["status"], order["cancellation_reason"]) == ("CANCELLED", "INVALID_ACCOUNT_STATUS")

    active = await integrator.send("config_service", "PATCH", f"{base}/{portfolio}", {"status": {"code": "ACTIVE"}})
    assert active.json["status"] == {"code": "ACTIVE", "description": None}
    await eventually(lambda: answered(integrator, account, 201))


async def a_ledger_portfolio(integrator: Integrator) -> tuple[str, str]:
    """The path of a ledger's portfolios, and one of them."""
    body = {"legalName": "Originals", "legalDocument": uuid4().hex}
    organization = await integrator.made("config_service", "/v1/organizations", body)
    ledgers = f"/v1/organizations/{organization['id']}/ledgers"
    ledger = await integrator.made("config_service", ledgers, {"name": "main"})
    base = f"{ledgers}/{ledger['id']}/portfolios"
    made = await integrator.made("config_service", base, {"name": "High-Value Customer Portfolio", "entityId": "EXT-1"})
    return base, str(made["id"])


async def subscribe(integrator: Integrator) -> None:
    hooks = {"title": "originals", "url": f"{integrator.receiver.url}/hooks", "type": ["REBALANCING_EXECUTION_ORDER"]}
    integrator.receiver.secret = (await integrator.made("webhook_dispatcher", "/webhooks", hooks))["secret"]


async def stands(integrator: Integrator, order_id: str, status: str) -> bool:
    return bool((await integrator.order(order_id))["status"] == status)


async def suppressed(integrator: Integrator, account: str, event: str) -> bool:
    path = f"/deliveries?account_id={account}&state=SUPPRESSED"
    found = (await integrator.send("webhook_dispatcher", "GET", path)).json["data"]
    return event in {each["event_id"] for each in found if each["reason"] == "NOT_CONFIGURED"}


async def answered(integrator: Integrator, account: str, status: int) -> bool:
    return (await integrator.ask_for_an_order(account)).status == status
