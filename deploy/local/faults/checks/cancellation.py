"""P4 Deletion cancels: no order NEW under a deleted version, and no other order touched."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence


def none_new(evidence: Evidence) -> Iterator[Violation]:
    """No order of a deleted version is NEW."""
    deleted = _deleted_versions(evidence)
    for order in evidence.orders:
        version = order["configuration_version"]
        if order["status"] == "NEW" and version <= deleted.get(order["account_id"], 0):
            sentence = f"order {order['id']} is NEW under version {version}, which was deleted"
            yield Violation("P4", sentence, order["account_id"])


def none_other(evidence: Evidence) -> Iterator[Violation]:
    """What was cancelled for a deletion was NEW, and of a version that was deleted."""
    deleted = _deleted_versions(evidence)
    for order in evidence.orders:
        if order["cancellation_reason"] != "CONFIGURATION_DELETED":
            continue
        if order["configuration_version"] > deleted.get(order["account_id"], 0):
            sentence = f"order {order['id']} was cancelled under version {order['configuration_version']}, which stands"
            yield Violation("P4", sentence, order["account_id"])
        if order["processing_at"] is not None:
            sentence = f"order {order['id']} was cancelled for a deletion after upstream had started on it"
            yield Violation("P4", sentence, order["account_id"])


def _deleted_versions(evidence: Evidence) -> dict[str, int]:
    """Account -> the newest version that is deleted."""
    return {row["account_id"]: row["version"] - row["configured"] for row in evidence.configurations}
