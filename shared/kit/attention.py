"""How soon the relay looks again for what other processes write: soon while they do, seldom while nobody does."""

from collections.abc import Set as AbstractSet

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25
#: where this process seems to be all there is of its service: a command may have left something, or one that has died
_LONGEST_PAUSE_ALONE = 1.0
#: for how long it does not seem so once another process was seen to write
_REMEMBERED = 10.0
#: slow enough that events a few dozen milliseconds apart keep it attentive
_SLOWS_DOWN_BY = 1.1
#: how long what this process has told of may be on its way to Kafka
_ON_ITS_WAY = 0.04


class Attention:
    """The pause between two looks."""

    def __init__(self) -> None:
        self.pause = _FIRST_PAUSE
        #: whether there is no reason to think that other processes of the service run
        self.alone = False
        self._others_at = float("-inf")
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
        if of_others:
            self._others_at = now
        longest = _LONGEST_PAUSE_ALONE if self.alone and self._others_at + _REMEMBERED < now else _LONGEST_PAUSE
        self.pause = _FIRST_PAUSE if of_others else min(self.pause * _SLOWS_DOWN_BY, longest)
