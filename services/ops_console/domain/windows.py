"""The last looks at every partition of every group: what a console keeps between one look and the next."""

from collections import deque
from collections.abc import Mapping, Sequence

from .groups import Look

Where = tuple[str, str, int]


class Windows:
    """So many looks at each partition and each group; what is not seen any more is forgotten."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._looks: dict[Where, deque[Look]] = {}
        self._members: dict[str, deque[int]] = {}

    @property
    def looks(self) -> Mapping[Where, Sequence[Look]]:
        """The window of each partition, the newest look last."""
        return self._looks

    @property
    def last(self) -> dict[Where, Look]:
        """The newest look at each partition."""
        return {where: window[-1] for where, window in self._looks.items()}

    @property
    def members(self) -> dict[str, int]:
        """The most members that each group had in its window."""
        return {name: max(counts) for name, counts in self._members.items()}

    def take(self, members: Mapping[str, int], looks: Mapping[Where, Look]) -> None:
        """Put one more look at everything behind the others."""
        self._looks = {where: self._looks.get(where) or deque(maxlen=self._length) for where in looks}
        self._members = {name: self._members.get(name) or deque(maxlen=self._length) for name in members}
        for where, look in looks.items():
            self._looks[where].append(look)
        for name, count in members.items():
            self._members[name].append(count)
