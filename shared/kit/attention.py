"""How soon the relay looks again for what other processes write: soon while they do, seldom while nobody does."""

from collections.abc import Set as AbstractSet

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25
#: of a relay that knows of no other: only a command or one that has died can have left something
_LONGEST_PAUSE_ALONE = 1.0
#: slow enough that events a few dozen milliseconds apart keep it attentive
_SLOWS_DOWN_BY = 1.1
#: how long what this process has told of may be on its way to Kafka
_ON_ITS_WAY = 0.04


class Attention:
    """The pause between two looks."""

    def __init__(self) -> None:
        self.pause = _FIRST_PAUSE
        #: whether no other relay of the service is known
        self.alone = False
        self._told_at: dict[int, float] = {}

    def told(self, shards: AbstractSet[int], now: float) -> None:
        """This process has committed rows of these shards, and its relay knows."""
        self._told_at.update(dict.fromkeys(shards, now))

    def found(self, shards: AbstractSet[int], now: float) -> None:
        """A look found rows in these shards.

        Those that this process has just told of are no sign of others: rows of others that lie beside them are
        published with them, and where this process falls silent they are found by the next look.
        """
        of_others = any(self._told_at.get(shard, float("-inf")) + _ON_ITS_WAY < now for shard in shards)
        longest = _LONGEST_PAUSE_ALONE if self.alone else _LONGEST_PAUSE
        self.pause = _FIRST_PAUSE if of_others else min(self.pause * _SLOWS_DOWN_BY, longest)
