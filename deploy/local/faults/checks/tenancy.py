"""P8 Nobody else's: nothing of one client's is done for, shown to or sent to another."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence


def sent_to_its_owner(evidence: Evidence) -> Iterator[Violation]:
    """A request holds events of its subscription's client alone, and names that subscription."""
    hooks = {entry["hook"]: entry for entry in evidence.entries("subscribed")}
    for arrival in evidence.arrivals:
        subscription = hooks.get(arrival["hook"])
        if subscription is None:
            yield Violation("P8", f"something arrived at {arrival['hook']}, which nobody has subscribed")
            continue
        for event, _, account, webhook in arrival["events"]:
            if account is not None and evidence.owners.get(account) != subscription["client"]:
                yield Violation("P8", f"event {event} was sent to {subscription['client']}", account)
            if webhook != subscription["subscription"]:
                yield Violation("P8", f"event {event} was sent to {arrival['hook']} for {webhook}", account)


def kept_by_its_owner(evidence: Evidence) -> Iterator[Violation]:
    """Orders and deliveries have the client of their account."""
    for kind, rows in (("order", evidence.orders), ("delivery", evidence.deliveries)):
        for row in rows:
            owner = evidence.owners.get(row["account_id"])
            if row["account_id"] is not None and owner != row["client_id"]:
                sentence = f"{kind} {row['id']} is of client {row['client_id']}, the account of {owner}"
                yield Violation("P8", sentence, row["account_id"])


def announced_for_its_owner(evidence: Evidence) -> Iterator[Violation]:
    """An event of ours carries the client of the account that it tells of."""
    for topic in evidence.topics:
        for record in evidence.records(topic):
            owner = evidence.owners.get(record.account or "")
            if record.source != "/faults" and owner is not None and record.client != owner:
                yield Violation(
                    "P8", f"{topic}: {record.id} is for {record.client}, the account of {owner}", record.account
                )
