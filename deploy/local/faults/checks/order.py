"""P2 Order: first copies stand in the order of their commits, and the last record of a key is its newest event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence, Seen

_STATES = ("accounts.events.v1", "configurations.events.v1", "allocations.events.v1")
_ORDERS = ("orders.events.v1", "rebalancings.events.v1")


def in_order(evidence: Evidence) -> Iterator[Violation]:
    """First copies of one key: by revision where there is one, else by the time of the change, taken under its lock."""
    for topic in _STATES:
        yield from _ascending(evidence, topic, "revision")
    for topic in _ORDERS:
        yield from _ascending(evidence, topic, "updated_at")


def _ascending(evidence: Evidence, topic: str, field: str) -> Iterator[Violation]:
    newest: dict[str, Seen] = {}
    for record in evidence.first_copies(topic):
        if record.source == "/faults":
            continue  # upstream's own, in whatever order it sends them
        before = newest.get(record.key)
        if before is not None and record.body[field] < before.body[field]:
            told = f"{record.body[field]} stands behind {before.body[field]}"
            yield Violation("P2", f"{topic}: {field} {told}, offset {record.offset}", record.account)
        newest[record.key] = record


def one_place(evidence: Evidence) -> Iterator[Violation]:
    """One key stands in one partition."""
    for topic in (*_STATES, *_ORDERS):
        places: dict[str, set[int]] = defaultdict(set)
        for record in evidence.records(topic):
            places[record.key].add(record.partition)
        for key, partitions in places.items():
            if len(partitions) > 1:
                yield Violation("P2", f"{topic} has key {key} in partitions {sorted(partitions)}", key)


def repeated_in_runs(evidence: Evidence) -> Iterator[Violation]:
    """Copies are runs: exact, in order again, and up to the newest event, which is the last record of its key."""
    for topic in (*_STATES, *_ORDERS):
        by_key: dict[str, list[Seen]] = defaultdict(list)
        for record in evidence.records(topic):
            if record.source != "/faults":
                by_key[record.key].append(record)
        for key, records in by_key.items():
            yield from _runs(topic, key, records)


def _runs(topic: str, key: str, records: Sequence[Seen]) -> Iterator[Violation]:
    order: dict[str, int] = {}
    bodies: dict[str, object] = {}
    previous = -1
    for record in records:
        name = str(record.id)
        place = order.setdefault(name, len(order))
        if bodies.setdefault(name, record.body) != record.body:
            yield Violation("P2", f"{topic}: a copy of {name} has another body, offset {record.offset}", key)
        if place > previous + 1:
            sentence = f"{topic}: a run of copies leaves something out before offset {record.offset}"
            yield Violation("P2", sentence, key)
        previous = place
    if previous != len(order) - 1:
        yield Violation("P2", f"{topic}: the last record is not the newest event", key)
