"""What a run is to be: everything that the command line decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Every kind of fault with its share where all are on, and what it is.
KINDS: Final[dict[str, tuple[int, str]]] = {
    "kill": (5, "SIGKILL of a service's process"),
    "boundary": (4, "SIGKILL of a service's process by itself, between two steps of its own choosing"),
    "stop": (3, "SIGSTOP of a service's process, and SIGCONT later: it wakes as a zombie"),
    "receiver": (2, "SIGKILL of the subscribers' endpoint"),
    "postgres": (1, "SIGKILL of PostgreSQL"),
    "kafka": (1, "SIGKILL of a Kafka broker"),
    "disk": (1, "a Kafka broker can write to no file, as on a disk that is full"),
    "clock": (1, "a service's time of day is set forward or back by minutes (where libfaketime is installed)"),
    "network": (2, "a service's connections to Kafka or PostgreSQL are cut, slowed down, or go nowhere"),
}

#: a run with fewer faults is a short one, whose waits are short as well
_LONG = 50
#: how much longer deliveries wait where many of them are to be open
_MORE_DELAY = 4


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    #: faults to come; overlapping ones count each
    kills: int
    only: Sequence[str] = tuple(KINDS)
    brokers: int = 1
    #: where a process is to kill itself; empty: anywhere
    at: Sequence[str] = ()
    #: services whose processes are struck; empty: all
    victims: Sequence[str] = ()
    #: deliveries, each of one event or of a package of them, that are open before a fault comes
    deliveries: int = 0
    #: things asked of the system in a second, on the average
    rate: float = 30.0
    #: seconds between one fault and the next, on the average
    pause: float = 3.0
    #: seconds that the system may take to come to rest once nothing waits for its delay
    patience: float = 180.0

    @property
    def long(self) -> bool:
        """Whether there is time for long waits."""
        return self.kills >= _LONG

    def strikes(self, service: str) -> bool:
        """Whether processes of the service may be struck."""
        return not self.victims or service in self.victims

    @property
    def longest_stop(self) -> float:
        """Seconds that a process may be stopped."""
        return 60.0 if self.long else 12.0

    @property
    def delay(self) -> float:
        """Seconds that deliveries wait at the subscriptions that ask for it: this is what keeps items in flight."""
        return (60.0 if self.long else 6.0) * (_MORE_DELAY if self.deliveries else 1)

    @property
    def least_in_flight(self) -> int:
        """Items that are under way before a fault comes; more than are asked for, since some faults take a moment."""
        return 1_300 if self.long else 100

    @property
    def lives(self) -> int:
        """Accounts that live at the same time."""
        return 60 if self.long else 30

    @property
    def command(self) -> str:
        """What repeats the run, as far as it is decided by us."""
        parts = [f"make faults KILLS={self.kills} SEED={self.seed}"]
        if tuple(self.only) != tuple(KINDS):
            parts.append(f"ONLY='{' '.join(self.only)}'")
        if self.brokers > 1:
            parts.append(f"BROKERS={self.brokers}")
        if self.at:
            parts.append(f"AT='{' '.join(self.at)}'")
        if self.victims:
            parts.append(f"VICTIMS='{' '.join(self.victims)}'")
        if self.deliveries:
            parts.append(f"DELIVERIES={self.deliveries}")
        return " ".join(parts)
