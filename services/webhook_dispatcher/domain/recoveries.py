"""A recovery: what has failed in a window of time, sent again a little at a time."""

from dataclasses import dataclass
from enum import StrEnum


class RecoveryState(StrEnum):
    """Where a recovery stands."""

    RUNNING = "RUNNING"
    #: it has come to its end; what it sent again may still wait for its attempts
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    #: its subscription was deleted or switched off
    STOPPED = "STOPPED"


@dataclass(frozen=True)
class RecoveryPace:
    """How much of a recovery may wait at once, so that it does not hurt live deliveries, and how often it goes on."""

    #: deliveries of it that wait for their first attempt
    untried: int = 50
    #: deliveries of it that have not ended: those that fail again wait for long
    open: int = 1000
    #: seconds from one step to the next
    pause: float = 0.2
    #: the same where there was no room for more
    pause_when_full: float = 1.0
