"""What attempts say about their endpoints."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.webhook_dispatcher.domain import Attempt, Outcome, Pace, Report, reports_of

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)


def an_attempt(outcome: Outcome, *, ended: float, took: float = 0.1, status: int | None = None) -> Attempt:
    finished = NOON + timedelta(seconds=ended)
    return Attempt(outcome, finished - timedelta(seconds=took), finished, status=status)


def test_failures_are_counted_since_the_last_that_was_delivered() -> None:
    failed = an_attempt(Outcome.REJECTED, ended=3, status=500)
    delivered = an_attempt(Outcome.DELIVERED, ended=2, status=200)
    before = an_attempt(Outcome.TIMED_OUT, ended=1)

    assert reports_of([(ONE, failed), (OTHER, before), (ONE, delivered), (ONE, before)]) == [
        Report(ONE, Pace.QUICK, delivered=True, failures=1),
        Report(OTHER, Pace.SILENT, delivered=False, failures=1),
    ]


def test_an_answer_is_quick_or_slow_whatever_it_says() -> None:
    slow = an_attempt(Outcome.REJECTED, ended=3, took=1.5, status=404)

    assert reports_of([(ONE, slow)]) == [Report(ONE, Pace.SLOW, delivered=False, failures=1)]


def test_what_is_our_own_fault_says_nothing_about_an_endpoint() -> None:
    ours = [an_attempt(outcome, ended=1) for outcome in (Outcome.NOT_SENT, Outcome.INTERRUPTED)]

    assert reports_of([(ONE, each) for each in ours]) == [Report(ONE, None, delivered=False, failures=0)]
