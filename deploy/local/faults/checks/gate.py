"""P5 Gate: no attempt after its version's deletion was applied, nothing sent that the barrier should have stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence, Row


def no_late_attempt(evidence: Evidence) -> Iterator[Violation]:
    """When an attempt was claimed, the copy had not come as far as the first event that proves its version deleted."""
    deletions = _deletions(evidence)
    for delivery in evidence.deliveries:
        if not delivery["gated"]:
            continue
        account, version = delivery["account_id"], delivery["configuration_version"]
        offset = next((at for at, deleted in deletions.get(account, ()) if deleted >= version), None)
        for claim in (delivery, *evidence.attempts_of.get(delivery["id"], ())):
            position = claim["projection_position"]
            if offset is not None and position is not None and position > offset:
                sentence = (
                    f"delivery {delivery['id']} of version {version} was claimed at position {position}, "
                    f"behind the deletion at {offset}"
                )
                yield Violation("P5", sentence, account)
                break


def claimed_by_position(evidence: Evidence) -> Iterator[Violation]:
    """Every attempt behind the gate says how far the copy had come: without that nothing is proven."""
    gated: dict[str, Row] = {row["id"]: row for row in evidence.deliveries if row["gated"]}
    for attempt in evidence.attempts:
        delivery = gated.get(attempt["delivery_id"])
        if delivery is not None and attempt["projection_position"] is None:
            yield Violation("P5", f"an attempt of {delivery['id']} does not say its position", delivery["account_id"])


def stopped_by_the_barrier(evidence: Evidence) -> Iterator[Violation]:
    """What was published once the deletion of its version was readable was never sent."""
    stopped = {entry["event"]: entry["account"] for entry in evidence.entries("published") if entry.get("stopped")}
    for arrival in evidence.arrivals:
        for event, *_ in arrival["events"]:
            if event in stopped:
                yield Violation("P5", f"event {event} was sent, long after its deletion", stopped[event])
    for (_, event), rows in evidence.deliveries_of.items():
        for row in rows:
            if event in stopped and row["state"] != "SUPPRESSED":
                yield Violation("P5", f"event {event} is {row['state']}, not SUPPRESSED", stopped[event])


def _deletions(evidence: Evidence) -> dict[str, list[tuple[int, int]]]:
    """Account -> offset and newest deleted version of each configuration event, in the order of the offsets."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for record in evidence.records("configurations.events.v1"):
        found[record.key].append((record.offset, record.body["version"] - record.body["configured"]))
    return found
