"""Is something wrong, where, since when, and what is to be pressed: one verdict out of all that is seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from math import inf
from typing import Final

from .groups import GroupSeen, State, Trend
from .parked import ParkedIndex

#: while a relay runs, the oldest message is well below a second old; so old it is only where none does
DRAINS_WITHIN: Final = 10.0


class Weight(IntEnum):
    """How much a finding weighs, the heaviest first."""

    AWAY = 0
    STOPPED = 1
    STALLED = 2
    OUTBOX = 3
    PARKED = 4
    ENDPOINT = 5
    BEHIND = 6


@dataclass(frozen=True, slots=True)
class OutboxSeen:
    """What waits in the outbox of a service."""

    service: str
    rows: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class SubscriptionSeen:
    """One subscription and how its endpoint does."""

    id: str
    client_id: str
    title: str
    host: str
    enabled: bool
    disabled_reason: str | None
    paused_at: str | None
    #: CLOSED, OPEN or HALF_OPEN
    circuit: str
    failing_since: str | None
    #: deliveries that wait or are under way; of very many only `waiting_at_least` is told
    waiting: int
    waiting_at_least: bool
    overdue_seconds: float
    #: of its last deliveries
    attempts: int
    delivered: int
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    weight: Weight
    #: what stands it apart from others of its kind
    where: str
    what: str
    #: None where it is not known: since it was found
    since: datetime | None
    #: what is to be done about it
    press: str
    #: the page that shows it
    page: str

    @property
    def key(self) -> str:
        """The same finding in the next picture has the same."""
        return f"{self.weight.name} {self.where}"


def of_troubles(troubles: Mapping[str, str]) -> Iterable[Finding]:
    """What could not be looked at, by its name, and why: a sentence that begins with what is away."""
    # Several may be of one cause.
    for sentence in dict.fromkeys(troubles.values()):
        press = "Start it again; until then what is shown of it is what was seen last."
        yield Finding(Weight.AWAY, sentence.partition(" ")[0], sentence, None, press, "/")


def of_groups(groups: Sequence[GroupSeen], now: datetime) -> Iterable[Finding]:
    """Groups that do not do well."""
    for group in groups:
        if group.state is State.OK:
            continue
        since = now - timedelta(seconds=group.seconds) if group.seconds else None
        waits = f"{group.records:,} records wait" + (", ever more" if group.trend is Trend.GROWING else "")
        match group.state:
            case State.STOPPED:
                what, weight = f"nobody is in the group; {waits}", Weight.STOPPED
                press = f"Start {group.service} with the role consumers."
            case State.STALLED:
                what, weight = f"it does not get on; {waits}", Weight.STALLED
                press = f"Read the log of {group.service}: it says what is tried again. If it says nothing, restart it."
            case _:
                what, weight = f"it falls behind; {waits}", Weight.BEHIND
                press = f"Start another replica of {group.service} with the role consumers."
        yield Finding(weight, group.name, what, since, press, "/groups")


def of_outboxes(outboxes: Iterable[OutboxSeen], now: datetime) -> Iterable[Finding]:
    """Outboxes that nobody empties."""
    for each in outboxes:
        if each.oldest_seconds > DRAINS_WITHIN:
            what = f"{each.rows:,} messages of {each.service} are not published"
            press = f"Start {each.service} with the role workers, and see that Kafka answers."
            since = now - timedelta(seconds=each.oldest_seconds)
            yield Finding(Weight.OUTBOX, each.service, what, since, press, "/outbox")


def of_parked(parked: ParkedIndex) -> Iterable[Finding]:
    """Messages that wait for somebody to mend what they were parked for."""
    oldest = parked.oldest()
    for (group, reason), count in parked.counts().items():
        what = f"{count:,} parked for {reason}"
        press = "Look at one, mend the cause, then redrive them."
        yield Finding(Weight.PARKED, group, what, oldest[group, reason], press, "/parked")


def of_subscriptions(subscriptions: Iterable[SubscriptionSeen]) -> Iterable[Finding]:
    """Endpoints that do not answer."""
    for each in subscriptions:
        if each.enabled and each.circuit != "CLOSED":
            more = "at least " if each.waiting_at_least else ""
            what = f"{each.host} does not answer; {more}{each.waiting:,} deliveries wait"
            since = datetime.fromisoformat(each.failing_since) if each.failing_since else None
            press = "Tell its client. It is probed by itself; pause it if it is to be left alone."
            yield Finding(Weight.ENDPOINT, f"{each.title} ({each.id})", what, since, press, "/subscriptions")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; of the same weight the one that has lasted longest."""
    return sorted(findings, key=lambda each: (each.weight, each.since.timestamp() if each.since else inf, each.where))
