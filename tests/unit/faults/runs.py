"""A small run that holds all promises, as its evidence: tests plant one flaw each into a copy of it."""

from copy import deepcopy
from typing import Any

from deploy.local.faults.evidence import Evidence, Parked, Seen

ANNA, BEN = "client-anna", "client-ben"
ACCOUNT, ORDER, EXECUTED = "account-1", "order-1", "order-2"
ORDERED, QUICK = "subscription-ordered", "subscription-quick"


def a_run() -> Evidence:
    """One account: configured, an order placed, a rebalancing sent; deleted, an engine's event stopped."""
    return Evidence(
        ledger=_ledger(),
        arrivals=_arrivals(),
        topics=_topics(),
        parked=[
            Parked("order_service.commands", "not_json", "orders.commands.v1", None, "poison 1"),
            Parked("webhook_dispatcher.rebalancings", "refused", "rebalancings.events.v1", "intrusion", "{}"),
        ],
        orders=[_order(ORDER, "PORTFOLIO", "op-place"), _order(EXECUTED, "REBALANCING", None)],
        account_copies=[_copy()],
        accounts=[{"account_id": ACCOUNT, "client_id": ANNA, "name": "op-open", "revision": 1}],
        configurations=[_copy()],
        deliveries=_deliveries(),
        attempts=[
            _attempt("d-created", None),
            _attempt("d-order", None),
            _attempt("d-sent", 1),
        ],
        gates=[_copy()],
        left={"deliveries open": 0},
        memory={"order_service": 130.0},
    )


def changed(rows: Any, nth: int, /, **told: Any) -> list[Any]:
    """A copy of rows with one of them changed."""
    copy = deepcopy(list(rows))
    copy[nth] = {**copy[nth], **told}
    return copy


def _ledger() -> list[dict[str, Any]]:
    def asked(op: str, act: str, status: Any, resource: Any = None, **told: Any) -> list[dict[str, Any]]:
        entry = {"what": "asked", "op": op, "act": act, "via": "http", "client": ANNA, "account": ACCOUNT, **told}
        return [entry, {"what": "told", "op": op, "status": status, "resource": resource}]

    return [
        {"what": "subscribed", "hook": "o", "client": ANNA, "subscription": ORDERED, "types": ["ALL"], "ordered": True},
        {
            "what": "subscribed",
            "hook": "q",
            "client": BEN,
            "subscription": QUICK,
            "types": ["PORTFOLIO_ORDER"],
            "ordered": False,
        },
        *asked("op-open", "open", 201, {"account_id": ACCOUNT}, expect=[201]),
        *asked("op-configure", "configure", "accepted", expect=["accepted"], via="command"),
        *asked("op-place", "place", 201, {"id": ORDER}, expect=[201]),
        *asked("op-refused", "place", 422, expect=[201, 422]),
        *asked("op-rebalance", "rebalance", 201, {"id": "execution-1"}, expect=[201]),
        *asked("op-delete", "delete", 404, expect=[204, 404]),
        {"what": "published", "event": "stopped", "client": ANNA, "account": ACCOUNT, "version": 1, "stopped": True},
        {"what": "published", "event": "intrusion", "client": BEN, "account": ACCOUNT, "intrudes": True},
        {"what": "poisoned", "name": "poison 1", "topic": "orders.commands.v1", "groups": ["order_service.commands"]},
    ]


def _order(order: str, kind: str, reference: str | None) -> dict[str, Any]:
    portfolio = kind == "PORTFOLIO"
    return {
        "id": order,
        "client_id": ANNA,
        "account_id": ACCOUNT,
        "configuration_version": 1,
        "kind": kind,
        "client_reference": reference,
        "execution_id": None if portfolio else "execution-1",
        "status": "CANCELLED",
        "cancellation_reason": "CONFIGURATION_DELETED" if portfolio else "CONFIGURATION_IS_MISSING",
        "created_at": "t1",
        "processing_at": None,
        "filled_at": None,
        "settled_at": None,
        "cancelled_at": "t2",
    }


def _copy() -> dict[str, Any]:
    told = {"version": 1, "revision": 2, "configured": False, "quarantined": None}
    return {"account_id": ACCOUNT, "client_id": ANNA, **told}


def _topics() -> dict[str, list[Seen]]:
    def seen(topic: str, offset: int, name: str, kind: str, body: dict[str, Any], source: str) -> Seen:
        return Seen(topic, 3, offset, ACCOUNT, name, kind, source, ANNA, {"account_id": ACCOUNT, **body})

    def order(topic: str, offset: int, name: str, kind: str, order_id: str, at: str) -> Seen:
        return seen(topic, offset, name, kind, {"id": order_id, "updated_at": at}, "/order_service")

    def state(topic: str, offset: int, name: str, kind: str, **body: Any) -> Seen:
        return seen(topic, offset, name, kind, body, "/config_service")

    orders, rebalancings = "orders.events.v1", "rebalancings.events.v1"
    configurations = "configurations.events.v1"
    reply = Seen(
        "commands.replies.v1", 3, 0, ACCOUNT, "r", "CommandAccepted", "/x", ANNA, {"command_id": "op-configure"}
    )
    return {
        "accounts.events.v1": [state("accounts.events.v1", 0, "a1", "AccountCreated", revision=1)],
        configurations: [
            state(configurations, 0, "c1", "ConfigurationCreated", revision=1, version=1, configured=True),
            # A relay that died before it had deleted: the run comes again.
            state(configurations, 1, "c1", "ConfigurationCreated", revision=1, version=1, configured=True),
            state(configurations, 2, "c2", "ConfigurationDeleted", revision=2, version=1, configured=False),
        ],
        orders: [
            order(orders, 0, "o1", "OrderPlaced", ORDER, "t1"),
            order(orders, 1, "o2", "OrderCancelled", ORDER, "t2"),
        ],
        rebalancings: [
            order(rebalancings, 0, "b1", "RebalancingOrderCreated", EXECUTED, "t1"),
            order(rebalancings, 1, "b2", "RebalancingOrderCancelled", EXECUTED, "t2"),
            seen(rebalancings, 2, "stopped", "RebalancingOrderCreated", {"id": "x", "updated_at": "t0"}, "/faults"),
        ],
        "commands.replies.v1": [reply],
    }


def _deliveries() -> list[dict[str, Any]]:
    def delivery(name: str, place: int, event: str, kind: str, state: str, **told: Any) -> dict[str, Any]:
        gated = kind.startswith("REBALANCING")
        return {
            "id": name,
            "subscription_id": ORDERED,
            "client_id": ANNA,
            "account_id": ACCOUNT,
            "place": place,
            "ordered": True,
            "event_id": event,
            "more_event_ids": [],
            "event_type": kind,
            "gated": gated,
            "configuration_version": 1 if gated else None,
            "state": state,
            "reason": None,
            "attempts": int(state == "DELIVERED"),
            "projection_position": 1 if gated and state == "DELIVERED" else None,
            **told,
        }

    order, configuration = "PORTFOLIO_ORDER", "PORTFOLIO_CONFIGURATION"
    rebalancing = "REBALANCING_EXECUTION_ORDER"
    return [
        delivery("d-created", 1, "c1", f"{configuration}.CREATED", "DELIVERED", more_event_ids=["a1"]),
        delivery("d-order", 2, "o1", f"{order}.NEW", "DELIVERED"),
        delivery("d-cancelled", 4, "o2", f"{order}.CANCELLED", "DELIVERED"),
        delivery("d-deleted", 3, "c2", f"{configuration}.DELETED", "DELIVERED"),
        delivery("d-sent", 5, "b1", f"{rebalancing}.NEW", "DELIVERED"),
        delivery("d-late", 6, "b2", f"{rebalancing}.CANCELLED", "SUPPRESSED"),
        delivery("d-stopped", 7, "stopped", f"{rebalancing}.NEW", "SUPPRESSED"),
    ]


def _arrivals() -> list[dict[str, Any]]:
    def arrival(at: float, name: str, *events: str, answer: int = 204) -> dict[str, Any]:
        listed = [[event, "kind", ACCOUNT, ORDERED] for event in events]
        message_id = f"msg_{name.replace('-', '')}"
        return {"at": at, "hook": "o", "id": message_id, "answer": answer, "digest": name, "events": listed}

    return [
        arrival(1.0, "d-created", "c1", "a1", answer=500),
        arrival(2.0, "d-created", "c1", "a1"),
        arrival(3.0, "d-order", "o1"),
        arrival(3.5, "d-sent", "b1"),
        arrival(4.0, "d-deleted", "c2"),
        arrival(5.0, "d-cancelled", "o2"),
    ]


def _attempt(delivery: str, position: int | None) -> dict[str, Any]:
    return {"delivery_id": delivery, "number": 1, "outcome": "DELIVERED", "projection_position": position}
