"""Every route asks who is there, lets nobody in who may not, and shows nobody what is another client's.

The routes are read from the applications, so a new one is walked as soon as it is there; what the walk cannot guess, a
body or a reason for an answer of its own, is declared below, and a route for which it is missing fails.
"""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from .asking import BODIES, asked, destroying_last
from .estates import ADMIN, Answer, Estate, World, an_estate, both
from .routes import Route, all_routes

ROUTES = [route for route in all_routes() if route.scope is not None]
EACH = pytest.mark.parametrize("route", ROUTES, ids=str)

#: Who asks for these is not known yet, or does not matter.
PUBLIC = {
    ("POST", "/auth/token"): "it is where tokens come from",
    ("GET", "/auth/verify_keys"): "public keys are public",
    ("GET", "/health/live"): "asked by orchestrators",
    ("GET", "/health/ready"): "asked by orchestrators",
    ("GET", "/metrics"): "asked by Prometheus",
    ("GET", "/openapi.json"): "the document is for everybody",
    ("GET", "/docs"): "as the document",
    ("GET", "/docs/oauth2-redirect"): "as the document",
}

#: Where another client's thing is not answered with 404, and why.
NOT_404 = {
    ("POST", "/portfolios/rebalancings/executions"): "taken; the order of an account that is not found is cancelled",
}

#: Whoever has these scopes sees all clients.
OPS = ("ops:read", "ops:admin")


@pytest.fixture(scope="module")
async def estates(world: World) -> tuple[Estate, Estate]:
    return await both(world)


@pytest.fixture(scope="module")
def owner(estates: tuple[Estate, Estate]) -> Estate:
    return estates[0]


@pytest.fixture(scope="module")
def stranger(estates: tuple[Estate, Estate]) -> Estate:
    return estates[1]


@pytest.fixture(scope="module")
async def fingerprints(world: World) -> AsyncIterator["Fingerprints"]:
    async with AsyncExitStack() as connections:
        databases = {}
        for service, dsn in world.system.databases.items():
            connection = await asyncpg.connect(dsn)
            connections.push_async_callback(connection.close)
            databases[service] = connection, await _question(connection)
        yield Fingerprints(databases)


@pytest.fixture
async def nothing_happens_to_the_owner(fingerprints: "Fingerprints", owner: Estate) -> AsyncIterator[None]:
    before = await fingerprints.of(owner)
    assert len(before) >= 6, "the owner has rows in more tables than that"
    yield
    assert await fingerprints.of(owner) == before


UNTOUCHED = pytest.mark.usefixtures("nothing_happens_to_the_owner")


def test_a_route_without_a_scope_is_declared_public() -> None:
    open_routes = {(route.method, route.path) for route in all_routes() if route.scope is None}
    assert open_routes <= PUBLIC.keys()


def test_every_route_with_a_body_has_one_here() -> None:
    needed = {(route.method, route.path) for route in all_routes() if _takes_a_body(route)}
    assert needed <= BODIES.keys()


@EACH
@UNTOUCHED
async def test_without_a_token_a_request_is_401(route: Route, world: World, owner: Estate) -> None:
    answer = await asked(world, route, owner, token=None)
    assert _is_problem(answer, 401, "unauthorised", route)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="portfolio-bus"'


@EACH
@UNTOUCHED
async def test_with_an_expired_token_a_request_is_401(route: Route, world: World, owner: Estate) -> None:
    answer = await asked(world, route, owner, token=world.token(owner.client_id, lifetime=-60))
    assert _is_problem(answer, 401, "unauthorised", route)


@EACH
@UNTOUCHED
async def test_with_a_tampered_token_a_request_is_401(route: Route, world: World, owner: Estate) -> None:
    answer = await asked(world, route, owner, token=_made_anothers(world.token(uuid4()), owner))
    assert _is_problem(answer, 401, "unauthorised", route)


@EACH
@UNTOUCHED
async def test_without_its_scope_a_request_is_403(route: Route, world: World, owner: Estate) -> None:
    assert route.scope is not None
    area, _, level = route.scope.partition(":")
    others = [scope for scope in ADMIN if not scope.startswith(f"{area}:")]
    read = [f"{area}:read"] if level == "admin" else []
    answer = await asked(world, route, owner, token=world.token(owner.client_id, *others, *read))
    assert _is_problem(answer, 403, "forbidden", route)
    assert route.method == "HEAD" or route.scope in answer.body["detail"]


@pytest.mark.parametrize("route", [each for each in ROUTES if each.names and each.scope not in OPS], ids=str)
@UNTOUCHED
async def test_what_is_another_clients_is_404(route: Route, world: World, owner: Estate, stranger: Estate) -> None:
    token = world.token(stranger.client_id)
    # Whatever comes before the foreign part of the path may well be the stranger's own.
    for count in range(len(route.names)):
        ids = {**owner.ids, **{name: stranger.ids[name] for name in route.names[:count]}}
        answer = await asked(world, route, stranger, token=token, ids=ids)
        assert _is_problem(answer, 404, "not_found", route)


@pytest.mark.parametrize("route", [each for each in ROUTES if (each.method, each.path) in BODIES], ids=str)
@UNTOUCHED
async def test_what_a_body_names_of_another_clients_is_404(
    route: Route, world: World, owner: Estate, stranger: Estate
) -> None:
    own, foreign = (BODIES[route.method, route.path](estate) for estate in (stranger, owner))
    named = [field for field, value in foreign.items() if _names_one_of(value, owner)]
    for field in named:
        body = {**own, field: foreign[field]}
        answer = await asked(world, route, stranger, token=world.token(stranger.client_id), body=body)
        if (route.method, route.path) not in NOT_404:
            assert _is_problem(answer, 404, "not_found", route), field


async def test_a_rebalancing_of_another_clients_account_is_one_of_an_account_that_is_not_found(
    world: World, owner: Estate, stranger: Estate
) -> None:
    path, token = "/portfolios/rebalancings/executions", world.token(stranger.client_id)
    foreign = await world.ask("order_service", "POST", path, token, {"accounts": [owner.account_id]})
    unknown = await world.ask("order_service", "POST", path, token, {"accounts": [str(uuid4())]})
    assert (foreign.status, unknown.status) == (201, 201)
    shown = [
        (await world.ask("order_service", "GET", f"{path}/{each.body['id']}/orders", token)).body["data"][0]
        for each in (foreign, unknown)
    ]
    assert [each["cancellation_reason"] for each in shown] == ["ACCOUNT_NOT_FOUND"] * 2
    differing = {"id", "account_id", "execution_id", "created_at", "updated_at", "cancelled_at"}
    first, second = ({name: value for name, value in each.items() if name not in differing} for each in shown)
    assert first == second


@pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.method == "GET" and each.scope not in OPS and not each.names], ids=str
)
async def test_lists_hold_nothing_of_another_client(route: Route, world: World, owner: Estate) -> None:
    # Of a client that has asked for nothing yet: whatever ids it had named itself might stand in its lists.
    seen = await asked(world, route, owner, token=world.token(uuid4()))
    assert seen.status == 200
    assert not [name for name, id_ in owner.ids.items() if id_ in seen.text]


async def test_the_walk_would_be_let_in_were_it_the_owners_own(world: World) -> None:
    """Or its refusals would show nothing: the same requests, by who may send them, are done or met with a rule."""
    own = await an_estate(world)
    refused = []
    for route in sorted(ROUTES, key=destroying_last):
        answer = await asked(world, route, own, token=world.token(own.client_id))
        if answer.status not in {200, 201, 202, 204, 409}:
            refused.append((str(route), answer.status, answer.text))
    assert refused == []


def _takes_a_body(route: Route) -> bool:
    creating = route.method in {"PUT", "PATCH"} or (route.method == "POST" and not _is_an_action(route))
    return creating and (route.method, route.path) not in PUBLIC


def _is_an_action(route: Route) -> bool:
    """Such as POST /webhooks/{id}/pause, whose body, if it has one, is declared all the same."""
    return route.path.count("}/") > 0 and not route.path.endswith(("/ledgers", "/portfolios"))


def _is_problem(answer: Answer, status: int, slug: str, route: Route) -> bool:
    assert answer.status == status, (str(route), answer.status, answer.text)
    if route.method == "HEAD":
        return True
    return bool(answer.body["type"] == f"/problems/{slug}" and answer.body["status"] == status)


def _names_one_of(value: Any, estate: Estate) -> bool:
    return any(id_ in json.dumps(value) for id_ in estate.ids.values())


def _made_anothers(token: str, owner: Estate) -> str:
    """The token, its subject changed to the owner under the signature of before."""
    header, claims, signature = token.split(".")
    read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    changed = base64.urlsafe_b64encode(json.dumps({**read, "sub": str(owner.client_id)}).encode()).rstrip(b"=")
    return f"{header}.{changed.decode()}.{signature}"


@dataclass
class Fingerprints:
    """Of one client's rows in every table of every service that knows clients."""

    #: by service, with the one question that it is asked
    databases: dict[str, tuple[asyncpg.Connection, str]]

    async def of(self, owner: Estate) -> dict[str, str]:
        """By service and table; a table without a row of the owner is left out."""
        return {
            f"{service}.{row['name']}": row["digest"]
            for service, (connection, question) in self.databases.items()
            for row in await connection.fetch(question, owner.client_id)
            if row["digest"]
        }


async def _question(connection: asyncpg.Connection) -> str:
    # A partition is read with its table.
    tables = await connection.fetch(
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition "
        "AND attname = 'client_id' AND atttypid = 'uuid'::regtype AND relname NOT LIKE 'inbox%' ORDER BY relname"
    )
    return " UNION ALL ".join(
        f"SELECT '{table}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) AS digest "
        f"FROM {table} t WHERE client_id = $1"
        for (table,) in tables
    )
