"""What each route costs in statements, beginning and ending of transactions aside: no route costs more than it did."""

from typing import Any
from uuid import uuid4

from tests.conftest import eventually

from .asking import asked, destroying_last
from .estates import ITEMS, Estate, World, an_estate
from .routes import Route, all_routes

OTHER_ITEMS = [{**ITEMS[0], "instrument_id": "DE0007164600"}]
ONLY_WHILE_UNUSED = {
    "DELETE /portfolios/allocations/{allocation_id}",
    "DELETE /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios/{portfolio_id}",
    "POST /webhooks/{subscription_id}/recover",
}
#: The most that a request may cost; less is welcome here, and more needs a reason.
AT_MOST = {
    "config_service DELETE /clients/{client_id}": 3,
    "config_service DELETE /portfolios/allocations/{allocation_id}": 4,
    "config_service DELETE /portfolios/configurations/{account_id}": 3,
    "config_service DELETE /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios/{portfolio_id}": 4,
    "config_service GET /accounts": 1,
    "config_service GET /accounts/{account_id}": 1,
    "config_service GET /clients": 1,
    "config_service GET /clients/{client_id}": 1,
    "config_service GET /ops/outbox": 1,
    "config_service GET /portfolios/allocations": 1,
    "config_service GET /portfolios/allocations/{allocation_id}": 1,
    "config_service GET /portfolios/allocations/{allocation_id}/accounts": 2,
    "config_service GET /portfolios/configurations": 1,
    "config_service GET /portfolios/configurations/{account_id}": 1,
    "config_service GET /v1/organizations": 1,
    "config_service GET /v1/organizations/{organization_id}": 1,
    "config_service GET /v1/organizations/{organization_id}/ledgers": 2,
    "config_service GET /v1/organizations/{organization_id}/ledgers/{ledger_id}": 1,
    "config_service GET /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios": 2,
    "config_service GET /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios/{portfolio_id}": 1,
    "config_service HEAD /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios/metrics/count": 2,
    "config_service PATCH /accounts/{account_id}": 5,
    "config_service PATCH /clients/{client_id}": 3,
    "config_service PATCH /portfolios/configurations/{account_id}": 5,
    "config_service PATCH /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios/{portfolio_id}": 3,
    "config_service POST /accounts": 4,
    "config_service POST /clients": 4,
    "config_service POST /clients/{client_id}/secret/rotate": 4,
    "config_service POST /ops/parked/redrive": 0,
    "config_service POST /portfolios/allocations": 3,
    "config_service POST /portfolios/configurations": 3,
    "config_service POST /v1/organizations": 3,
    "config_service POST /v1/organizations/{organization_id}/ledgers": 4,
    "config_service POST /v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios": 3,
    "config_service PUT /portfolios/allocations/{allocation_id}": 3,
    "order_service DELETE /portfolios/orders/{order_id}": 3,
    "order_service DELETE /portfolios/rebalancings/executions/{execution_id}": 9,
    "order_service GET /ops/outbox": 1,
    "order_service GET /portfolios/orders": 1,
    "order_service GET /portfolios/orders/{order_id}": 1,
    "order_service GET /portfolios/rebalancings/executions": 1,
    "order_service GET /portfolios/rebalancings/executions/{execution_id}": 2,
    "order_service GET /portfolios/rebalancings/executions/{execution_id}/orders": 2,
    "order_service POST /ops/parked/redrive": 0,
    "order_service POST /portfolios/orders": 4,
    "order_service POST /portfolios/rebalancings/executions": 10,
    "webhook_dispatcher DELETE /recoveries/{recovery_id}": 1,
    "webhook_dispatcher DELETE /webhooks/{subscription_id}": 3,
    "webhook_dispatcher GET /deliveries": 1,
    "webhook_dispatcher GET /deliveries/{delivery_id}": 1,
    "webhook_dispatcher GET /deliveries/{delivery_id}/attempts": 2,
    "webhook_dispatcher GET /ops/deliveries": 1,
    "webhook_dispatcher GET /ops/outbox": 1,
    "webhook_dispatcher GET /ops/subscriptions": 2,
    "webhook_dispatcher GET /recoveries/{recovery_id}": 2,
    "webhook_dispatcher GET /webhooks": 1,
    "webhook_dispatcher GET /webhooks/types": 0,
    "webhook_dispatcher GET /webhooks/{subscription_id}": 1,
    "webhook_dispatcher GET /webhooks/{subscription_id}/deliveries": 2,
    "webhook_dispatcher GET /webhooks/{subscription_id}/recoveries": 2,
    "webhook_dispatcher PATCH /webhooks/{subscription_id}": 4,
    "webhook_dispatcher POST /deliveries/{delivery_id}/resend": 6,
    "webhook_dispatcher POST /ops/deliveries/{delivery_id}/resend": 7,
    "webhook_dispatcher POST /ops/parked/redrive": 0,
    "webhook_dispatcher POST /ops/subscriptions/{subscription_id}/pause": 3,
    "webhook_dispatcher POST /ops/subscriptions/{subscription_id}/resume": 3,
    "webhook_dispatcher POST /webhooks": 4,
    "webhook_dispatcher POST /webhooks/{subscription_id}/pause": 2,
    "webhook_dispatcher POST /webhooks/{subscription_id}/recover": 5,
    "webhook_dispatcher POST /webhooks/{subscription_id}/resume": 2,
    "webhook_dispatcher POST /webhooks/{subscription_id}/secret/rotate": 2,
    "webhook_dispatcher POST /webhooks/{subscription_id}/test": 5,
}


async def test_no_route_costs_more_statements_than_it_did(world: World) -> None:
    estate = await an_estate(world)
    spare = await _what_nothing_uses(world, estate)
    token, costs = world.token(estate.client_id), {}
    for route in sorted((route for route in all_routes() if route.scope), key=_configurations_last):
        request_id = str(uuid4())
        where = f"{route.method} {route.path}"
        ids = {**estate.ids, **(spare if where in ONLY_WHILE_UNUSED else {})}
        body = _that_changes_something(estate, spare).get(where)
        headers = {"X-Request-Id": request_id}
        if route.path.endswith("/resend"):
            await eventually(lambda: _has_ended(world, estate))
        answer = await asked(world, route, estate, token=token, ids=ids, body=body, headers=headers)
        assert answer.status < 300, (str(route), answer.text)
        told = await world.ask(route.service, "GET", f"/statements/{request_id}")
        costs[str(route)] = told.body["statements"]

    assert costs.keys() == AT_MOST.keys()
    assert {route: cost for route, cost in costs.items() if cost > AT_MOST[route]} == {}


async def _has_ended(world: World, estate: Estate) -> bool:
    # What is sent again by one route waits for a moment, and the other would be refused.
    path = f"/deliveries/{estate.delivery_id}"
    shown = await world.ask("webhook_dispatcher", "GET", path, world.token(estate.client_id))
    return bool(shown.body["state"] == "DELIVERED")


def _configurations_last(route: Route) -> tuple[bool, tuple[bool, int, str]]:
    # Deleting one cancels the order that another route is to cancel.
    return (route.method, route.path) == ("DELETE", "/portfolios/configurations/{account_id}"), destroying_last(route)


async def _what_nothing_uses(world: World, estate: Estate) -> dict[str, str]:
    async def made(path: str, body: dict[str, Any], name: str) -> str:
        return str((await world.made(estate.client_id, "config_service", path, body))[name])

    portfolios = f"/v1/organizations/{estate.organization_id}/ledgers/{estate.ledger_id}/portfolios"
    allocation = "/portfolios/allocations", {"allocation": OTHER_ITEMS}, "allocation_id"
    hook = {"title": "mine", "url": world.receiver, "type": ["ACCOUNT.UPDATED"]}
    return {
        "subscription_id": (await world.made(estate.client_id, "webhook_dispatcher", "/webhooks", hook))["id"],
        "account_id": await made("/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"}, "account_id"),
        "portfolio_id": await made(portfolios, {"name": "P"}, "id"),
        "allocation_id": await made(*allocation),
        "another_allocation_id": await made(*allocation),
    }


def _that_changes_something(estate: Estate, spare: dict[str, str]) -> dict[str, Any]:
    """Bodies for where the usual one asks for what is so already."""
    return {
        "POST /portfolios/configurations": {
            "account_id": spare["account_id"],
            "allocation_id": estate.allocation_id,
        },
        "PATCH /portfolios/configurations/{account_id}": {"allocation_id": spare["another_allocation_id"]},
        "PUT /portfolios/allocations/{allocation_id}": {"allocation": OTHER_ITEMS},
    }
