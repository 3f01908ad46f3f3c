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


class Trend(StrEnum):
    """Which way what waits for a group went over a window."""

    GROWING = "growing"
    SHRINKING = "shrinking"
    STEADY = "steady"


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


@dataclass(frozen=True)
class GroupSeen:
    """One group over a window of time."""

    name: str
    members: int
    state: State
    #: of every partition of which it has ever stored a position
    partitions: list[Standing]
    trend: Trend = Trend.STEADY

    @property
    def service(self) -> str:
        """Whose group it is: a group bears the name of its service."""
        return self.name.partition(".")[0]

    @property
    def records(self) -> int:
        """How many records wait for it."""
        return sum(each.records for each in self.partitions)

    @property
    def seconds(self) -> float | None:
        """Age of the oldest of them; None where it is not known."""
        return max((each.seconds for each in self.partitions if each.seconds is not None), default=None)


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


def trend_of(windows: Iterable[Sequence[Look]]) -> Trend:
    """Which way all that waits went between the first and the last look of the windows."""
    ends = [(window[0].waiting, window[-1].waiting) for window in windows if window]
    before, after = sum(first for first, _ in ends), sum(last for _, last in ends)
    if before == after:
        return Trend.STEADY
    return Trend.GROWING if after > before else Trend.SHRINKING


def group_of(name: str, members: int, partitions: list[Standing], windows: Iterable[Sequence[Look]] = ()) -> GroupSeen:
    """The group as it stands on all of its partitions; `members` is the most that any look has seen."""
    state = worst_of([each.state for each in partitions]) if members else State.STOPPED
    return GroupSeen(name, members, state, partitions, trend_of(windows))


def worst_of(states: Collection[State]) -> State:
    """The worst of them; OK where there are none."""
    return max(states, key=list(State).index, default=State.OK)


def by_group(standings: Iterable[Standing]) -> dict[str, list[Standing]]:
    """The standings of each group."""
    found: dict[str, list[Standing]] = {}
    for each in standings:
        found.setdefault(each.group, []).append(each)
    return found
