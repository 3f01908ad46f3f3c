"""What is looked for: pure functions over the evidence, a module for each promise."""

from __future__ import annotations

from deploy.local.faults.checks import (
    atomic,
    bounded,
    cancellation,
    delivered,
    gate,
    once,
    order,
    parking,
    tenancy,
)
from deploy.local.faults.checks.violation import Check, Violation
from deploy.local.faults.evidence import Evidence

CHECKS: tuple[Check, ...] = (
    atomic.answered,
    atomic.announced,
    atomic.states_announced,
    order.in_order,
    order.one_place,
    order.repeated_in_runs,
    once.placed_once,
    once.opened_once,
    once.configured_once,
    once.moved_once,
    once.rebalanced_once,
    once.replied_once,
    once.planned_once,
    once.copies_agree,
    cancellation.none_new,
    cancellation.none_other,
    gate.no_late_attempt,
    gate.claimed_by_position,
    gate.stopped_by_the_barrier,
    delivered.planned,
    delivered.arrived,
    delivered.unchanged,
    delivered.arrived_in_order,
    delivered.planned_in_order,
    parking.parked_exactly,
    parking.nothing_quarantined,
    tenancy.sent_to_its_owner,
    tenancy.kept_by_its_owner,
    tenancy.announced_for_its_owner,
    bounded.nothing_left,
    bounded.memory,
    bounded.no_defect_told,
)


def violations_of(evidence: Evidence) -> list[Violation]:
    """Everything that the promises forbid, in their order."""
    return [violation for check in CHECKS for violation in check(evidence)]


__all__ = ["CHECKS", "Violation", "violations_of"]
