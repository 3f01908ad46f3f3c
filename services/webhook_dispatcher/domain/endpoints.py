"""How an endpoint does: whether it answers and how quickly, and when its circuit opens."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from .outcomes import Attempt, Outcome

#: an answer within this many seconds is quick
QUICK_SECONDS: Final = 1.0


class Pace(StrEnum):
    """How an endpoint answered the last time; decides how much of a process it may hold."""

    UNTRIED = "UNTRIED"
    QUICK = "QUICK"
    #: it answers in its time
    SLOW = "SLOW"
    #: it did not answer
    SILENT = "SILENT"


#: What says nothing about the endpoint.
_OURS: Final = frozenset({Outcome.NOT_SENT, Outcome.INTERRUPTED, Outcome.LOST})


@dataclass(frozen=True)
class CircuitRule:
    """When a circuit opens, and for how long."""

    #: failed attempts in a row
    failures: int = 5
    #: seconds until its first probe; each probe that fails doubles them
    open_seconds: float = 10.0
    #: seconds that they may grow to
    longest: float = 600.0


@dataclass(frozen=True)
class Report:
    """What some attempts, in their order, say about one endpoint."""

    subscription_id: UUID
    #: None where nothing was learned
    pace: Pace | None
    #: whether any was delivered
    delivered: bool
    #: how many have failed since the last that was delivered
    failures: int


def reports_of(attempts: Iterable[tuple[UUID, Attempt]]) -> list[Report]:
    """Sum up attempts by subscription; one report for each, in the order of their ids."""
    found: dict[UUID, Report] = {}
    for subscription_id, attempt in sorted(attempts, key=lambda each: each[1].finished_at):
        known = found.get(subscription_id, Report(subscription_id, None, delivered=False, failures=0))
        found[subscription_id] = _after(known, attempt)
    return [found[each] for each in sorted(found)]


def _after(known: Report, attempt: Attempt) -> Report:
    if attempt.outcome in _OURS:
        return known
    if attempt.outcome is Outcome.DELIVERED:
        return Report(known.subscription_id, _pace_of(attempt), delivered=True, failures=0)
    return Report(known.subscription_id, _pace_of(attempt), known.delivered, known.failures + 1)


def _pace_of(attempt: Attempt) -> Pace:
    if attempt.status is None:
        return Pace.SILENT
    seconds = (attempt.finished_at - attempt.started_at).total_seconds()
    return Pace.QUICK if seconds < QUICK_SECONDS else Pace.SLOW
