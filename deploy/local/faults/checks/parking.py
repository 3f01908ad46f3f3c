"""P7 Nothing vanishes: what nobody can take is parked by each group that met it, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence

_GATE_GROUP = "webhook_dispatcher.rebalancings"


def parked_exactly(evidence: Evidence) -> Iterator[Violation]:
    """The parked messages are the poisoned ones and the intruding ones, by the groups that should."""
    expected = {(group, entry["name"]): None for entry in evidence.entries("poisoned") for group in entry["groups"]} | {
        (_GATE_GROUP, entry["event"]): entry["account"]
        for entry in evidence.entries("published")
        if entry.get("intrudes")
    }
    found = {(each.group, each.id or each.value): each for each in evidence.parked}
    for (group, name), account in expected.items():
        if (group, name) not in found:
            yield Violation("P7", f"{group} has not parked {name!r}", account)
    for where, parked in found.items():
        if where not in expected:
            sentence = f"{parked.group} has parked {where[1]!r} of {parked.topic}: {parked.reason}"
            yield Violation("P7", sentence)


def nothing_quarantined(evidence: Evidence) -> Iterator[Violation]:
    """No copy is shut: nothing that was put on the state topics has the key of an account."""
    for row in (*evidence.account_copies, *evidence.gates):
        if row["quarantined"]:
            yield Violation("P7", f"a copy is quarantined: {row['quarantined']}", row["account_id"])
