"""Slots: how many deliveries this process has under way, to which endpoints, and which of these have become slow (P9).

Endpoints that answer quickly have slots of their own. All others share slots apart from those, so that however many
hang, the quick ones find theirs free. What was sent to a quick endpoint and is not answered quickly this time moves
over.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from services.webhook_dispatcher.domain import QUICK_SECONDS, Claimed
from services.webhook_dispatcher.storage import Capacity

#: so many unanswered requests, if they are half of all to it, say that an endpoint has stopped to answer
_STRAINED = 3


@dataclass(frozen=True)
class Limits:
    """How much one process takes on, and for how long."""

    #: deliveries under way to endpoints that answer quickly
    in_flight: int = 200
    #: deliveries under way to all other endpoints: each holds a connection that mostly waits
    in_flight_slow: int = 1000
    #: deliveries under way to one endpoint
    per_endpoint: int = 100
    lease_seconds: float = 30.0
    #: seconds in which deliveries under way may end by themselves when the process is stopped
    grace: float = 10.0


class Slots:
    """The slots of one process; only its own event loop touches them."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._busy: Counter[UUID] = Counter()
        self._clients: Counter[UUID] = Counter()
        self._full: set[UUID] = set()
        self._slow = 0
        #: deliveries in quick slots, in the order of their beginning, with its moment and the subscription
        self._quick: dict[UUID, tuple[float, UUID]] = {}
        #: subscription -> how many have moved over
        self._unanswered: Counter[UUID] = Counter()

    @property
    def taken(self) -> int:
        """How many deliveries are under way."""
        return len(self._quick) + self._slow

    @property
    def capacity(self) -> Capacity:
        """What may be claimed now."""
        return Capacity(
            free=self._limits.in_flight - len(self._quick),
            per_endpoint=self._limits.per_endpoint,
            busy=dict(self._busy),
            free_for_slow=self._limits.in_flight_slow - self._slow,
            busy_clients=dict(self._clients),
            strained=[each for each, count in self._unanswered.items() if self._is_strain(each, count)],
        )

    def has_room(self, subscription_id: UUID) -> bool:
        """Whether the endpoint may be sent more before any of what is under way to it has ended."""
        return subscription_id not in self._full

    def take(self, claimed: Claimed) -> None:
        """A delivery begins."""
        self._busy[claimed.subscription_id] += 1
        self._clients[claimed.client_id] += 1
        if claimed.more:
            self._full.add(claimed.subscription_id)
        if claimed.quick:
            self._quick[claimed.id] = self._clock(), claimed.subscription_id
        else:
            self._slow += 1

    def free(self, claimed: Claimed) -> None:
        """It has ended."""
        self._full.discard(claimed.subscription_id)
        _less(self._busy, claimed.subscription_id)
        _less(self._clients, claimed.client_id)
        if self._quick.pop(claimed.id, None) is None:
            self._slow -= 1
            if claimed.quick:
                _less(self._unanswered, claimed.subscription_id)

    def move_over(self) -> None:
        """Give up the quick slots of what was not answered quickly, as far as there are others."""
        before = self._clock() - QUICK_SECONDS
        while self._quick and self._slow < self._limits.in_flight_slow:
            delivery = next(iter(self._quick))
            began, subscription_id = self._quick[delivery]
            if began > before:
                break
            del self._quick[delivery]
            self._unanswered[subscription_id] += 1
            self._slow += 1

    def _is_strain(self, subscription_id: UUID, unanswered: int) -> bool:
        return unanswered >= _STRAINED and 2 * unanswered >= self._busy[subscription_id]


def _less(counter: Counter[UUID], key: UUID) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
