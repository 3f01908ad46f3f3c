"""How far a relay may forget the outbox's front: the safe horizon.

Identity values are handed out before the commit, so a row can become visible behind rows that were read before. A mark
at the highest id seen would skip it. The cursor moves to an id only when every transaction that could still bring a row
below it has ended: a snapshot saw that id as its highest and had the upper bound `xmax`; a later snapshot whose lower
bound `xmin` has reached that `xmax` sees all of them ended. It rests on writers that own a transaction id before their
first outbox id is drawn, as a row lock or any write gives them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """What one read saw: its transaction bounds, the last id it read, and whether it reached the end of what waits."""

    xmin: int
    xmax: int
    last_id: int | None
    exhausted: bool


@dataclass(frozen=True)
class Horizon:
    """Everything up to `cursor` is published; `candidate` will be, once `xmax` has passed."""

    cursor: int = 0
    candidate: int | None = None
    xmax: int = 0

    def after(self, seen: Snapshot) -> "Horizon":
        """The horizon once everything that `seen` read is published and deleted."""
        if self.candidate is None:
            return Horizon(self.cursor, seen.last_id, seen.xmax)
        passed = seen.xmin >= self.xmax
        all_below_read = seen.exhausted or (seen.last_id is not None and seen.last_id >= self.candidate)
        if passed and all_below_read:
            return Horizon(self.candidate, seen.last_id, seen.xmax)
        return self
