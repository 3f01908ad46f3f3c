"""A request for every route, made from what an estate holds."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from .estates import ITEMS, Answer, Estate, World, order_body
from .routes import Route

#: A body for every route that takes one, made for whoever owns the estate.
BODIES: dict[tuple[str, str], Callable[[Estate], Any]] = {
    ("POST", "/clients"): lambda _: {"name": "new", "scopes": ["accounts:read"]},
    ("PATCH", "/clients/{client_id}"): lambda _: {"name": "renamed"},
    ("POST", "/accounts"): lambda own: {
        "user_id": str(uuid4()),
        "type": "PORTFOLIO",
        "portfolio_id": own.portfolio_id,
    },
    ("PATCH", "/accounts/{account_id}"): lambda own: {"name": "renamed", "portfolio_id": own.portfolio_id},
    ("POST", "/portfolios/allocations"): lambda _: {"allocation": ITEMS},
    ("PUT", "/portfolios/allocations/{allocation_id}"): lambda _: {"allocation": ITEMS},
    ("POST", "/portfolios/configurations"): lambda own: {
        "account_id": own.account_id,
        "allocation_id": own.allocation_id,
    },
    ("PATCH", "/portfolios/configurations/{account_id}"): lambda own: {"allocation_id": own.allocation_id},
    ("POST", "/portfolios/orders"): order_body,
    ("POST", "/portfolios/rebalancings/executions"): lambda own: {"accounts": [own.account_id]},
    ("POST", "/webhooks"): lambda _: {"title": "new", "url": "https://example.com/hook", "type": ["ALL"]},
    ("POST", "/webhooks/{subscription_id}/recover"): lambda _: {"since": "2026-01-31T12:00:00Z"},
    ("POST", "/ops/parked/redrive"): lambda _: {"reason": "nothing was parked for this"},
    ("PATCH", "/webhooks/{subscription_id}"): lambda _: {"title": "renamed"},
    ("POST", "/v1/organizations"): lambda _: {"legalName": f"A {uuid4()}", "legalDocument": uuid4().hex},
    ("POST", "/v1/organizations/{organization_id}/ledgers"): lambda _: {"name": f"L {uuid4()}"},
    ("POST", "/v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios"): lambda _: {"name": "P"},
    ("PATCH", "/v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios/{portfolio_id}"): lambda _: {
        "name": "renamed"
    },
}


def destroying_last(route: Route) -> tuple[bool, int, str]:
    return route.method == "DELETE" or "revoke" in route.path, -len(route.names), route.path


async def asked(
    world: World,
    route: Route,
    estate: Estate,
    *,
    token: str | None,
    ids: dict[str, str] | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    unknown = [name for name in route.names if name not in estate.ids]
    assert not unknown, f"an estate has no {unknown}: make one in estates.py"
    made = BODIES.get((route.method, route.path))
    sent = body if body is not None else made(estate) if made else None
    return await world.ask(
        route.service, route.method, route.path.format(**(ids or estate.ids)), token, sent, **(headers or {})
    )
