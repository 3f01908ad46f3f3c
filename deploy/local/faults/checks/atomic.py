"""P1 Atomic: what was answered is there, what is there was announced once, and what was refused left nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence, Row

#: The transitions that an order's row remembers, with the events that announce each.
_STAMPS = {
    "PORTFOLIO": {
        "created_at": "OrderPlaced",
        "processing_at": "OrderProcessingStarted",
        "filled_at": "OrderFilled",
        "settled_at": "OrderSettled",
        "cancelled_at": "OrderCancelled",
    },
    "REBALANCING": {
        "processing_at": "RebalancingOrderProcessingStarted",
        "filled_at": "RebalancingOrderFilled",
        "cancelled_at": "RebalancingOrderCancelled",
    },
}


def answered(evidence: Evidence) -> Iterator[Violation]:
    """Every request and command was answered in the end, as may be expected of it."""
    for op, asked in evidence.asked.items():
        told = evidence.told.get(op)
        what = f"{asked.get('command') or asked.get('method')} {asked.get('path', '')} ({op})"
        if told is None:
            yield Violation("P1", f"{what} was never answered", asked.get("account"))
        elif "expect" in asked and told["status"] not in asked["expect"]:
            said = f"{told['status']}: {told['resource']}"
            yield Violation("P1", f"{what} was answered {said}, not {asked['expect']}", asked.get("account"))


def announced(evidence: Evidence) -> Iterator[Violation]:
    """Every change of an order has one event, whatever its copies; no event tells of a change that is not there."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for topic in ("orders.events.v1", "rebalancings.events.v1"):
        for record in evidence.records(topic):
            if record.source == "/order_service" and record.id and record.type:
                ids[record.body["id"], record.type].add(record.id)
    for order in evidence.orders:
        for kind in _announcements(order):
            count = len(ids.pop((order["id"], kind), ()))
            if count != 1:
                yield Violation("P1", f"{kind} of order {order['id']} has {count} event ids", order["account_id"])
    for order_id, kind in ids:
        yield Violation("P1", f"{kind} was announced of order {order_id}, whose row shows no such change")


def _announcements(order: Row) -> Iterator[str]:
    for stamp, kind in _STAMPS[order["kind"]].items():
        if order[stamp] is not None:
            yield kind
    # An execution order that could not be made is cancelled at once, and was never NEW.
    if order["kind"] == "REBALANCING" and order["cancelled_at"] != order["created_at"]:
        yield "RebalancingOrderCreated"


def states_announced(evidence: Evidence) -> Iterator[Violation]:
    """Every revision of an account and of its configuration has one event, and the last one is what stands."""
    for topic, rows in (
        ("accounts.events.v1", evidence.accounts),
        ("configurations.events.v1", evidence.configurations),
    ):
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for record in evidence.first_copies(topic):
            found[record.key][record.body["revision"]] += 1
        for row in rows:
            expected = Counter(range(1, row["revision"] + 1))
            if found[row["account_id"]] != expected:
                told = sorted(found[row["account_id"]].elements())
                sentence = f"{topic} tells of the revisions {told}, and the row is of {row['revision']}"
                yield Violation("P1", sentence, row["account_id"])
