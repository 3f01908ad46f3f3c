"""What came of an attempt."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook_dispatcher.domain import Outcome, classify, retry_after_seconds

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DAY = 86_400.0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED),
        (204, Outcome.DELIVERED),
        (299, Outcome.DELIVERED),
        (301, Outcome.REJECTED),
        (308, Outcome.REJECTED),
        (404, Outcome.REJECTED),
        (410, Outcome.GONE),
        (429, Outcome.ASKED_TO_WAIT),
        (500, Outcome.REJECTED),
        (503, Outcome.ASKED_TO_WAIT),
    ],
)
def test_an_answer_is_classified_by_its_status(status: int, outcome: Outcome) -> None:
    assert classify(status) is outcome


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("86401", DAY),
        ("9" * 5000, DAY),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120.0),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=30), usegmt=True), DAY),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0661", None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date_and_clamped(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_can_break_anything(header: str) -> None:
    found = retry_after_seconds(header, NOW)

    assert found is None or 0 <= found <= DAY
