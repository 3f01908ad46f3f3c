"""What becomes of a message whose handling failed: one pure decision (P7)."""

from enum import StrEnum

from .faults import is_infrastructure
from .refusals import Refused


class Fate(StrEnum):
    """What to do with a message next."""

    #: not the message's fault: wait, and take it up again for as long as it takes
    WAIT = "wait"
    #: perhaps the message's fault: try again, a little later each time
    RETRY = "retry"
    #: it will not be done: keep it for a person, and go on
    PARK = "park"


_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0


def fate_of(fault: Exception, *, attempts: int, patience: int, may_park: bool) -> Fate:
    """The fate of a message after `attempts` that ended in `fault`.

    A keeper of copies (`may_park` false) never parks: a copy with a hole would be trusted. A refusal is final at once.
    """
    if is_infrastructure(fault):
        return Fate.WAIT
    if not may_park:
        return Fate.RETRY if attempts < patience else Fate.WAIT
    if isinstance(fault, Refused) or attempts >= patience:
        return Fate.PARK
    return Fate.RETRY


def delay_after(attempts: int) -> float:
    """Seconds to wait after the given number of attempts: doubling, capped."""
    return float(min(_FIRST_DELAY * 2 ** (attempts - 1), _LONGEST_DELAY))
