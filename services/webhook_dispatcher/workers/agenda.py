"""The agenda: which subscriptions to claim for next. Only hints; whatever is forgotten is found by looking (P9)."""

from collections.abc import Callable, Iterable
from uuid import UUID

#: subscriptions it holds at most: more are found again once these are done
_LENGTH = 10_000


class Agenda:
    """Subscriptions to claim for, each once, in the order in which they came."""

    def __init__(self) -> None:
        self._next: dict[UUID, None] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._next)

    def add(self, subscriptions: Iterable[UUID]) -> None:
        """Put them at the end, unless they are on it."""
        for each in subscriptions:
            if len(self._next) >= _LENGTH:
                return
            self._next.setdefault(each)

    def take(self, at_most: int, suits: Callable[[UUID], bool]) -> list[UUID]:
        """Take the first ones that suit; those before them that do not are dropped."""
        taken: list[UUID] = []
        while self._next and len(taken) < at_most:
            first = next(iter(self._next))
            del self._next[first]
            if suits(first):
                taken.append(first)
        return taken
