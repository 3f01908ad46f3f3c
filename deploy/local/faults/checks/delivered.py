"""P6 Delivered: every event reached every subscription that wants it, in order where it is `ordered`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence, Row, Seen, message_id_of

#: Topics that webhooks are made of, with the category under which subscribers know each.
CATEGORIES = {
    "orders.events.v1": "PORTFOLIO_ORDER",
    "rebalancings.events.v1": "REBALANCING_EXECUTION_ORDER",
    "configurations.events.v1": "PORTFOLIO_CONFIGURATION",
    "allocations.events.v1": "PORTFOLIO_ALLOCATION",
    "accounts.events.v1": "ACCOUNT",
}
_TAKEN = 204


def planned(evidence: Evidence) -> Iterator[Violation]:
    """Every event has a delivery for every subscription of its client that wants it."""
    intruders = {entry["event"] for entry in evidence.entries("published") if entry.get("intrudes")}
    for topic, category in CATEGORIES.items():
        for record in evidence.first_copies(topic):
            if record.id in intruders:
                continue
            for subscription in _wanting(evidence, record, category):
                if (subscription, str(record.id)) not in evidence.deliveries_of:
                    sentence = f"{record.type} {record.id} was not planned for subscription {subscription}"
                    yield Violation("P6", sentence, record.account)


def _wanting(evidence: Evidence, record: Seen, category: str) -> Iterator[str]:
    for entry in evidence.entries("subscribed"):
        if entry["client"] == record.client and {"ALL", category} & set(entry["types"]):
            yield entry["subscription"]


def arrived(evidence: Evidence) -> Iterator[Violation]:
    """What is DELIVERED was taken by its endpoint; nothing ends otherwise but behind the gate."""
    for row in evidence.deliveries:
        if row["state"] == "DELIVERED":
            taken = [each for each in evidence.arrivals_of.get(message_id_of(row), ()) if each["answer"] == _TAKEN]
            if not taken:
                yield Violation("P6", f"delivery {row['id']} is DELIVERED and never arrived", row["account_id"])
        elif row["state"] != "SUPPRESSED" or not row["gated"]:
            sentence = f"delivery {row['id']} of {row['event_type']} ended {row['state']} for {row['reason']}"
            yield Violation("P6", sentence, row["account_id"])


def unchanged(evidence: Evidence) -> Iterator[Violation]:
    """All requests with one `webhook-id` have one body."""
    for message_id, arrivals in evidence.arrivals_of.items():
        if len({each["digest"] for each in arrivals}) > 1:
            account = arrivals[0]["events"][0][2]
            yield Violation("P6", f"{message_id} arrived with different bodies", account)


def arrived_in_order(evidence: Evidence) -> Iterator[Violation]:
    """First copies of one account and topic reach an `ordered` subscription in the order of their planning."""
    lines: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in evidence.deliveries:
        if row["ordered"] and row["state"] == "DELIVERED":
            # Topics are planned apart, so that their places cross.
            category = row["event_type"].partition(".")[0]
            lines[row["subscription_id"], row["account_id"], category].append(row)
    for (_, account, _), rows in lines.items():
        before = -1.0
        for row in sorted(rows, key=lambda each: each["place"]):
            arrivals = evidence.arrivals_of.get(message_id_of(row))
            if arrivals is None:
                continue  # `arrived` tells
            if arrivals[0]["at"] < before:
                yield Violation("P6", f"delivery {row['id']} arrived before the one planned before it", account)
            before = arrivals[0]["at"]


def planned_in_order(evidence: Evidence) -> Iterator[Violation]:
    """One account's events of one topic are planned in the order in which they stand there."""
    ordered = [entry for entry in evidence.entries("subscribed") if entry["ordered"]]
    for topic in CATEGORIES:
        for subscription in ordered:
            yield from _planned_in_order(evidence, topic, subscription["subscription"])


def _planned_in_order(evidence: Evidence, topic: str, subscription: str) -> Iterator[Violation]:
    newest: dict[str, int] = {}
    for record in evidence.first_copies(topic):
        rows = evidence.deliveries_of.get((subscription, str(record.id)))
        if not rows or record.account is None:
            continue
        if rows[0]["place"] < newest.get(record.account, 0):
            sentence = f"{record.type} {record.id} was planned before what stands before it in {topic}"
            yield Violation("P6", sentence, record.account)
        newest[record.account] = max(newest.get(record.account, 0), rows[0]["place"])
