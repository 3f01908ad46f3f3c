"""When a failed delivery is tried again: the Standard Webhooks schedule with full jitter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .deliveries import DeliveryState, Reason
from .outcomes import Attempt, Outcome

_MINUTE = 60.0
_HOUR = 3600.0

#: seconds at most between one attempt and the next, as the specification recommends them
STANDARD_SCHEDULE: Final = (
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)

Schedule = Sequence[float]


@dataclass(frozen=True)
class NextStep:
    """What an attempt's outcome means for its delivery."""

    state: DeliveryState
    reason: Reason | None = None
    #: seconds until the next attempt, where there is one
    wait: float = 0.0


def next_step(attempt: Attempt, number: int, schedule: Schedule, chance: float) -> NextStep:
    """Decide after attempt `number` (from 1); `chance` in [0, 1) spreads retries over time (full jitter)."""
    match attempt.outcome:
        case Outcome.DELIVERED:
            return NextStep(DeliveryState.DELIVERED)
        case Outcome.GONE:
            return NextStep(DeliveryState.FAILED, Reason.ENDPOINT_GONE)
        case Outcome.INTERRUPTED:
            return NextStep(DeliveryState.WAITING)
    if number > len(schedule):
        return NextStep(DeliveryState.FAILED, Reason.EXHAUSTED)
    wait = schedule[number - 1] * chance
    if attempt.retry_after is not None:
        # Never before the time that was asked for; the jitter comes on top, or all would return at once.
        wait = attempt.retry_after + min(wait, attempt.retry_after * 0.1 + 1.0)
    return NextStep(DeliveryState.WAITING, wait=wait)
