"""What the dispatcher measures besides what every service does. No label holds the id of a client or a subscription."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import Metric

from services.webhook_dispatcher.domain import GATE_REASONS, Attempt, Claimed, Outcome, Reason
from shared.kit.metrics import Kind, Measure
from shared.kit.tally import Tally

ATTEMPTS: Final = Measure(
    "portfolio_bus_delivery_attempts_total",
    Kind.COUNTER,
    ("outcome",),
    "attempts",
    "Attempts to deliver by what came of them, as `outcome` stands in `GET /deliveries/{id}/attempts`; those of a "
    "process that died (`LOST`) are counted by nobody.",
)
ATTEMPT_SECONDS: Final = Measure(
    "portfolio_bus_delivery_attempt_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "Time that an attempt took, whatever came of it: looking up the name, connecting, sending, and the answer.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
ACKNOWLEDGED_SECONDS: Final = Measure(
    "portfolio_bus_delivery_acknowledged_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "Time from an event (its `ce_time`; of a package, its first) to the subscriber's acknowledgement, with the "
    "outbox, Kafka, planning, waits and attempts that failed.",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0),
)
SUPPRESSED: Final = Measure(
    "portfolio_bus_deliveries_suppressed_total",
    Kind.COUNTER,
    ("reason",),
    "deliveries",
    "Deliveries that the gate has stopped, by `reason` as it stands in `GET /deliveries`: while they were planned, "
    "while they waited, or when they were to be sent again.",
)
OPEN: Final = Measure(
    "portfolio_bus_deliveries_open",
    Kind.GAUGE,
    (),
    "deliveries",
    "Deliveries that wait or are under way: exact up to ten thousand, estimated by PostgreSQL's statistics beyond. The "
    "same in every process: take the greatest. Missing while the database does not answer.",
)
OVERDUE_SECONDS: Final = Measure(
    "portfolio_bus_deliveries_overdue_seconds",
    Kind.GAUGE,
    (),
    "seconds",
    "For how long the delivery that is overdue most has been due, also behind an open circuit or a rate limit, but not "
    "of a paused subscription; 0 when none is. Otherwise as the deliveries.",
)
CIRCUITS: Final = Measure(
    "portfolio_bus_delivery_circuits",
    Kind.GAUGE,
    ("state",),
    "endpoints",
    "Endpoints of subscriptions that are enabled and not paused, whose circuit is `open` (nothing is sent) or "
    "`half_open` (the next attempt is a probe). Otherwise as the deliveries.",
)

#: everything that the dispatcher tells besides what every service does
MEASURES: Final = (ATTEMPTS, ATTEMPT_SECONDS, ACKNOWLEDGED_SECONDS, SUPPRESSED, OPEN, OVERDUE_SECONDS, CIRCUITS)


class Sendings:
    """Counts and times the attempts of this process, a batch at a time."""

    def __init__(self) -> None:
        self._attempts = ATTEMPTS.counter()
        self._by_outcome = {each: self._attempts.labels(each.value) for each in Outcome}
        self._seconds = Tally(ATTEMPT_SECONDS)
        self._acknowledged = Tally(ACKNOWLEDGED_SECONDS)

    def note(self, results: Sequence[tuple[Claimed, Attempt | None]]) -> None:
        """Take what came of attempts; None is none, and not counted."""
        made = [(claimed, attempt) for claimed, attempt in results if attempt is not None]
        for outcome, number in Counter(attempt.outcome for _, attempt in made).items():
            self._by_outcome[outcome].inc(number)
        self._seconds.observe_all((attempt.finished_at - attempt.started_at).total_seconds() for _, attempt in made)
        # Clocks of two machines may differ by more than it took.
        self._acknowledged.observe_all(
            max(0.0, (attempt.finished_at - claimed.event_time).total_seconds())
            for claimed, attempt in made
            if attempt.outcome is Outcome.DELIVERED and claimed.event_time is not None
        )

    def collect(self) -> Iterable[Metric]:
        """All of it, from memory."""
        yield from self._attempts.collect()
        yield from self._seconds.collect()
        yield from self._acknowledged.collect()


class Stops:
    """Counts what the gate stops in this process, wherever that happens."""

    def __init__(self) -> None:
        self._suppressed = SUPPRESSED.counter()
        self._by_reason = {each: self._suppressed.labels(each.value) for each in GATE_REASONS}

    def note(self, reason: Reason, deliveries: int) -> None:
        """So many were stopped, and that is committed."""
        self._by_reason[reason].inc(deliveries)

    def collect(self) -> Iterable[Metric]:
        """All of it, from memory."""
        yield from self._suppressed.collect()
