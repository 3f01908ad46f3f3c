"""What is parked, and what of it has gone back: a bounded index, without keys and bodies."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

#: parked messages that are kept in the index, the newest
MOST_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class ParkedFacts:
    """What is told of a parked message beside the message itself."""

    #: the header `parked-id`
    id: str
    group: str
    reason: str
    detail: str
    #: where it stood
    topic: str
    partition: int
    offset: int
    attempts: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ParkedSeen(ParkedFacts):
    """One parked message without its key, body and headers."""

    #: when Kafka was given it: comparable with the way back, which has no other time
    stamped: float
    #: when it was sent back since
    sent_back: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it has not been sent back since it was parked last."""
        return self.sent_back is None


@dataclass(frozen=True, slots=True)
class SentBack:
    """A message on the way back to its group."""

    id: str
    stamped: float


class ParkedIndex:
    """The newest parked messages by their id: one that is parked again is one message, parked later."""

    def __init__(self, at_most: int = MOST_KEPT) -> None:
        self._at_most = at_most
        self._rows: dict[str, ParkedSeen] = {}
        #: grows with every change
        self.version = 0
        #: how many were dropped since there are more than are kept
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, told: ParkedSeen | SentBack) -> None:
        """Take what was read; the same again changes nothing."""
        known = self._rows.get(told.id)
        if isinstance(told, SentBack):
            if known is not None and known.waits and told.stamped >= known.stamped:
                self._rows[told.id] = _sent_back(known, told.stamped)
                self.version += 1
        elif known is None or told.stamped > known.stamped:
            # Behind the others: it is the newest.
            self._rows.pop(told.id, None)
            self._rows[told.id] = told
            self.version += 1
            if len(self._rows) > self._at_most:
                del self._rows[next(iter(self._rows))]
                self.left_out += 1

    def matching(
        self, group: str | None = None, reason: str | None = None, *, waiting: bool = True
    ) -> list[ParkedSeen]:
        """Those of the group and for the reason, the newest first; only those that wait, unless told otherwise."""
        return [
            row
            for row in reversed(self._rows.values())
            if group in {None, row.group} and reason in {None, row.reason} and (row.waits or not waiting)
        ]

    def counts(self) -> Counter[tuple[str, str]]:
        """How many wait, by group and reason."""
        return Counter((row.group, row.reason) for row in self._waiting())

    def oldest(self) -> dict[tuple[str, str], datetime]:
        """Since when, by group and reason."""
        found: dict[tuple[str, str], datetime] = {}
        for row in self._waiting():
            found[row.group, row.reason] = min(row.at, found.get((row.group, row.reason), row.at))
        return found

    def pairs(self) -> set[tuple[str, str]]:
        """The groups and reasons that there are, also of what was sent back."""
        return {(row.group, row.reason) for row in self._rows.values()}

    def _waiting(self) -> Iterator[ParkedSeen]:
        return (row for row in self._rows.values() if row.waits)


def _sent_back(row: ParkedSeen, stamped: float) -> ParkedSeen:
    return ParkedSeen(
        *(row.id, row.group, row.reason, row.detail, row.topic, row.partition, row.offset, row.attempts, row.at),
        stamped=row.stamped,
        sent_back=stamped,
    )
