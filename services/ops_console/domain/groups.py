"""How a consumer group does, decided without thresholds by looking at a window of time, as Burrow does.

https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class State(StrEnum):
    """How a group does on a partition, from the best to the worst."""

    #: it has caught up at some time, or is catching up
    OK = "OK"
    #: it goes on, and falls behind
    WARN = "WARN"
    #: it has members and does not get on
    STALLED = "STALLED"
    #: nobody is in the group
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one group on one partition at one moment."""

    #: the first offset that the group has not done
    committed: int
    #: the first offset that a committed reader may not see yet
    end: int
    #: how many consumers the whole group had
    members: int

    @property
    def waiting(self) -> int:
        """How many offsets the group has before it."""
        return max(0, self.end - self.committed)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a group does on one partition."""

    group: str
    topic: str
    partition: int
    #: records that wait; markers of transactions count as records until they are passed
    records: int
    #: age of the oldest of them; None where it is not known
    seconds: float | None
    state: State


def state_of(window: Sequence[Look]) -> State:
    """The state on one partition after the looks of a window, in their order; raises ValueError without any.

    A group that starts or is divided anew has no member for a moment, so that STOPPED takes a whole window without any,
    whether or not something waits: the next record would. One look shows no movement, and so neither WARN nor STALLED.
    """
    if not window:
        message = "a window has at least one look"
        raise ValueError(message)
    if not any(look.members for look in window):
        return State.STOPPED
    if len(window) == 1 or any(not look.waiting for look in window):
        return State.OK
    if len({look.committed for look in window}) == 1:
        return State.STALLED
    falls_behind = all(after.waiting >= before.waiting for before, after in pairwise(window))
    return State.WARN if falls_behind and window[-1].waiting > window[0].waiting else State.OK


def standing_of(
    where: tuple[str, str, int], window: Sequence[Look], oldest: float | None, *, only_markers: bool
) -> Standing:
    """The standing on the partition `where` (group, topic, partition).

    `oldest` is the age of the first record that waits. Where `only_markers` are left, nothing waits: a marker ends a
    transaction, no consumer is handed one, and a group's stored position passes it only with the next record.
    """
    if only_markers:
        window = [*window, Look(window[-1].end, window[-1].end, window[-1].members)]
    last = window[-1]
    return Standing(*where, records=last.waiting, seconds=oldest if last.waiting else 0.0, state=state_of(window))


def worst_of(states: Collection[State]) -> State:
    """The worst of them; OK where there are none."""
    return max(states, key=list(State).index, default=State.OK)


def by_group(standings: Iterable[Standing]) -> dict[str, list[Standing]]:
    """The standings of each group."""
    found: dict[str, list[Standing]] = {}
    for each in standings:
        found.setdefault(each.group, []).append(each)
    return found
