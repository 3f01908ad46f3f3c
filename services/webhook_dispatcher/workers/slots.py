"""Slots: how many deliveries this process has under way, and to which endpoints (P9)."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from services.webhook_dispatcher.storage import Capacity


@dataclass(frozen=True)
class Limits:
    """How much one process takes on, and for how long."""

    #: deliveries under way in all
    in_flight: int = 200
    #: deliveries under way to one endpoint, so that a slow one cannot hold all slots
    per_endpoint: int = 10
    lease_seconds: float = 30.0
    #: seconds in which deliveries under way may end by themselves when the process is stopped
    grace: float = 10.0


class Slots:
    """The slots of one process; only its own event loop touches them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._busy: Counter[UUID] = Counter()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many deliveries are under way."""
        return self._taken

    @property
    def capacity(self) -> Capacity:
        """What may be claimed now."""
        return Capacity(self._limits.in_flight - self._taken, self._limits.per_endpoint, dict(self._busy))

    def take(self, subscription_id: UUID) -> None:
        """A delivery to this subscription's endpoint begins."""
        self._busy[subscription_id] += 1
        self._taken += 1

    def free(self, subscription_id: UUID) -> None:
        """It has ended."""
        self._taken -= 1
        self._busy[subscription_id] -= 1
        if not self._busy[subscription_id]:
            del self._busy[subscription_id]
