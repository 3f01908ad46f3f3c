"""What an attempt's outcome means for its delivery."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook_dispatcher.domain import (
    STANDARD_SCHEDULE,
    Attempt,
    DeliveryState,
    Outcome,
    Reason,
    next_step,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CHANCES = st.floats(0, 1, exclude_max=True)
FAILURES = [
    each for each in Outcome if each not in {Outcome.DELIVERED, Outcome.GONE, Outcome.INTERRUPTED, Outcome.LOST}
]


def attempt(outcome: Outcome, retry_after: float | None = None) -> Attempt:
    return Attempt(outcome, NOW, NOW, retry_after=retry_after)


@pytest.mark.parametrize("outcome", FAILURES)
def test_every_failure_waits_for_its_place_in_the_schedule_and_fails_at_its_end(outcome: Outcome) -> None:
    steps = [next_step(attempt(outcome), number, STANDARD_SCHEDULE, 0.999) for number in range(1, 11)]

    assert [step.state for step in steps] == [DeliveryState.WAITING] * 9 + [DeliveryState.FAILED]
    assert steps[-1].reason is Reason.EXHAUSTED
    assert [round(step.wait / 0.999, 3) for step in steps[:-1]] == list(STANDARD_SCHEDULE)


@given(CHANCES, st.integers(1, 9))
def test_the_jitter_is_full(chance: float, number: int) -> None:
    wait = next_step(attempt(Outcome.REJECTED), number, STANDARD_SCHEDULE, chance).wait

    assert 0 <= wait < STANDARD_SCHEDULE[number - 1]


@given(CHANCES, st.integers(1, 9), st.floats(0, 86_400))
def test_nobody_comes_back_before_the_time_that_was_asked_for(chance: float, number: int, asked: float) -> None:
    step = next_step(attempt(Outcome.ASKED_TO_WAIT, asked), number, STANDARD_SCHEDULE, chance)

    assert asked <= step.wait <= asked * 1.1 + 1.001


def test_a_delivery_ends_when_it_arrives_or_its_endpoint_is_gone() -> None:
    assert next_step(attempt(Outcome.DELIVERED), 1, (), 0.5).state is DeliveryState.DELIVERED
    gone = next_step(attempt(Outcome.GONE), 1, STANDARD_SCHEDULE, 0.5)
    assert (gone.state, gone.reason) == (DeliveryState.FAILED, Reason.ENDPOINT_GONE)


def test_an_attempt_that_we_cut_off_ourselves_is_repeated_at_once_however_many_there_were() -> None:
    step = next_step(attempt(Outcome.INTERRUPTED), 50, STANDARD_SCHEDULE, 0.5)

    assert (step.state, step.wait) == (DeliveryState.WAITING, 0.0)
