"""The world that the fuzzed requests meet: two clients, and enough of everything that one of them owns."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from deploy.local.errors import StackUnavailableError
from deploy.local.loops import completed
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import ISSUER, BootstrapClient, RunningSystem

#: The variable that names the file with the world, for the process that makes the requests.
WORLD = "PORTFOLIO_BUS_FUZZ_WORLD"

#: What each identity may do. The second is there to be refused what is the first's, so it sees no one as ops.
FIRST = "accounts:admin portfolios:admin orders:admin webhooks:admin ops:admin"
SECOND = "accounts:admin portfolios:admin orders:admin webhooks:admin"

_ANSWER_SECONDS = 30.0
#: of each kind; requests delete and close what they find
_MANY = 12
_SHORTEST_NAME = 6
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1

#: Columns without an underscore are words of every day.
_NAMES_INSIDE = """
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
          WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND attname LIKE '%\\_%'
"""


class WorldError(StackUnavailableError):
    """The world could not be made: a request was answered with an error."""


@dataclass(frozen=True)
class World:
    """What the requests can be about."""

    #: access tokens by the name of the identity
    tokens: dict[str, str] = field(repr=False)
    #: a client for POST /auth/token: nobody else needs it
    credentials: dict[str, str] = field(repr=False)
    #: ids that exist, by the name of the parameter or field that takes them
    known: dict[str, list[str]]
    #: those of the accounts that take orders
    configured: list[str]
    #: names of the services' own tables, columns and constraints that no public document has
    inside: list[str]
    #: repeats the choices that are ours
    seed: int

    def keep(self, file: Path) -> None:
        """Write it down for the processes that make the requests."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def kept(cls, file: Path) -> World:
        """Read what `keep` wrote."""
        return cls(**json.loads(file.read_text()))


@cache
def world_of_this_run() -> World:
    """The world, in the process that makes the requests."""
    return World.kept(Path(os.environ[WORLD]))


class Caller:
    """Makes requests as one client; whatever is not answered with success ends the making of the world."""

    def __init__(self, system: RunningSystem, token: str) -> None:
        """Call the services of `system` with `token`."""
        self._system = system
        self._token = token

    def __call__(self, service: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request; answers the body."""
        headers = {"Authorization": f"Bearer {self._token}"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        content = None if body is None else json.dumps(body)
        return answered(self._system.urls[service], method, path, content, headers)


def make_world(system: RunningSystem, seed: int) -> World:
    """Make it by HTTP, as a client would; raises WorldError with the answer that was none."""
    [first] = system.create_clients("one", scopes=FIRST)
    second, spare = system.create_clients("two", "spare", scopes=SECOND)
    tokens = {"first": token_for(system, first), "second": token_for(system, second)}
    call = Caller(system, tokens["first"])
    # The subscriptions come first, so that there are deliveries; nobody listens there, so that there are attempts.
    webhooks, kept_apart = _webhooks(call)
    known = _accounts_and_orders(call) | _ledger(call) | _clients(call) | webhooks | _deliveries(call, kept_apart)
    credentials = {"client_id": spare.client_id, "client_secret": spare.client_secret}
    return World(tokens, credentials, known, known["account_id"][:_MANY], _names_inside(system), seed)


def token_for(system: RunningSystem, client: BootstrapClient) -> str:
    """Get an access token by client credentials."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = answered(system.urls[ISSUER], "POST", "/auth/token", urllib.parse.urlencode(form), headers)
    return str(answer["access_token"])


def _accounts_and_orders(call: Caller) -> dict[str, list[str]]:
    user = str(uuid4())
    item = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
    allocations = [
        call("config_service", "POST", "/portfolios/allocations", {"name": f"target {n}", "allocation": [item]})
        for n in range(_MANY)
    ]
    accounts = [
        call("config_service", "POST", "/accounts", {"user_id": user, "type": "PORTFOLIO", "name": f"account {n}"})
        for n in range(4 * _MANY)
    ]
    allocation_ids = [each["allocation_id"] for each in allocations]
    account_ids = [each["account_id"] for each in accounts]
    configured = account_ids[:_MANY]
    for account_id, allocation_id in zip(configured, itertools.cycle(allocation_ids[:3])):
        link = {"account_id": account_id, "allocation_id": allocation_id}
        call("config_service", "POST", "/portfolios/configurations", link)
    order = {"user_id": user, "cash_amount": "100.00", "currency": "EUR", "side": "BUY", "configuration_version": 1}
    orders = [
        call("order_service", "POST", "/portfolios/orders", {**order, "account_id": account_id})
        for account_id in configured
    ]
    executions = [
        call("order_service", "POST", "/portfolios/rebalancings/executions", {"accounts": [account_id]})
        for account_id in configured
    ]
    return {
        "user_id": [user],
        "account_id": account_ids,
        "allocation_id": allocation_ids,
        "order_id": [each["id"] for each in orders],
        "execution_id": [each["id"] for each in executions],
    }


def _webhooks(call: Caller) -> tuple[dict[str, list[str]], str]:
    """Ids to ask for; and one subscription that nobody will pause or delete: what it has failed with can be sent."""
    (nobody,) = free_ports(1)
    endpoint = {"url": f"http://{LOOPBACK}:{nobody}/hooks"}
    wanted = ["ACCOUNT", *("ALL" for _ in range(2)), *("PORTFOLIO.DELETED" for _ in range(_MANY - 2))]
    bodies = [{**endpoint, "title": f"hook {number}", "type": [kind]} for number, kind in enumerate(wanted)]
    kept_apart, *made = [call("webhook_dispatcher", "POST", "/webhooks", body)["id"] for body in bodies]
    since = {"since": "2026-01-31T12:00:00Z"}
    # One at a time for each: the other subscriptions are left for those that are asked for.
    recoveries = [call("webhook_dispatcher", "POST", f"/webhooks/{each}/recover", since)["id"] for each in made[::2]]
    return {"subscription_id": made, "recovery_id": recoveries}, kept_apart


def _deliveries(call: Caller, subscription_id: str) -> dict[str, list[str]]:
    failed = f"/webhooks/{subscription_id}/deliveries?state=FAILED&limit={_MANY}&order=asc"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = call("webhook_dispatcher", "GET", failed)["data"]
        if len(found) == _MANY:
            return {"delivery_id": [each["id"] for each in found]}
        time.sleep(_POLL_SECONDS)
    raise WorldError(f"No {_MANY} webhooks have failed within {_PATIENCE_SECONDS:g} s.")


def _ledger(call: Caller) -> dict[str, list[str]]:
    organization = call("config_service", "POST", "/v1/organizations", {"legalName": "One", "legalDocument": "1"})["id"]
    ledgers = f"/v1/organizations/{organization}/ledgers"
    ledger = call("config_service", "POST", ledgers, {"name": "main"})["id"]
    base = f"{ledgers}/{ledger}/portfolios"
    made = [call("config_service", "POST", base, {"name": f"portfolio {n}"})["id"] for n in range(_MANY)]
    return {"organization_id": [organization], "ledger_id": [ledger], "portfolio_id": made}


def _clients(call: Caller) -> dict[str, list[str]]:
    body = {"name": "passer-by", "scopes": ["orders:read"]}
    made = [call("config_service", "POST", "/clients", body) for _ in range(_MANY)]
    return {"client_id": [each["client_id"] for each in made]}


def _names_inside(system: RunningSystem) -> list[str]:
    """Names of relations, columns and constraints, less the words that the public documents use themselves."""
    names = {name for dsn in system.databases.values() for name in completed(_names_in(dsn))}
    documents = [_get(url, "/openapi.json") for url in system.urls.values()]
    public = set(re.findall(r"\w+", " ".join(documents)))
    return sorted(name for name in names - public if len(name) >= _SHORTEST_NAME)


async def _names_in(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch(_NAMES_INSIDE)]
    finally:
        await connection.close()


def answered(url: str, method: str, path: str, content: str | None, headers: Mapping[str, str]) -> dict[str, Any]:
    """What is answered in the end; raises WorldError for a refusal."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    status, body, later = _once(url, method, path, content, headers)
    # What a decision rests on may not have come to the service yet: it says so (503, and 409 for a version).
    while later and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        status, body, later = _once(url, method, path, content, headers)
    if status >= http.HTTPStatus.BAD_REQUEST:
        raise WorldError(f"{method} {path} is answered with {status}: {body}")
    answer: dict[str, Any] = json.loads(body)
    return answer


def _once(url: str, method: str, path: str, content: str | None, headers: Mapping[str, str]) -> tuple[int, str, bool]:
    """Status, body, and whether the same may be asked again later."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_ANSWER_SECONDS)
    try:
        connection.request(method, path, content, dict(headers))
        response = connection.getresponse()
        return response.status, response.read().decode(), "Retry-After" in response.headers
    finally:
        connection.close()


def _get(url: str, path: str) -> str:
    return json.dumps(answered(url, "GET", path, None, {}))
