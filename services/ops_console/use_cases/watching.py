"""The picture that all who look share: each part of it is looked at by one loop, however many look at the picture.

What is kept is bounded: windows of a few looks, the newest parked messages without their bodies, a thousand
subscriptions.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from services.ops_console.clients import Groups, ParkedTail, Services, TopicSeen, Trouble, topics_seen
from services.ops_console.domain import (
    Finding,
    GroupSeen,
    OutboxSeen,
    ParkedIndex,
    State,
    SubscriptionSeen,
    Windows,
    of_groups,
    of_outboxes,
    of_parked,
    of_subscriptions,
    of_troubles,
    worst_first,
)
from shared.kit.kafka import Kafka

from .groups import groups_of
from .services import outbox_seen, subscriptions_seen

#: looks that a group's state is decided by
_LOOKS: Final = 4
_MOST_FAILING: Final = 100
_MOST_SUBSCRIPTIONS: Final = 1_000
#: seconds since somebody has looked, after which nobody does
_UNSEEN_AFTER: Final = 15.0

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Picture:
    """All that was seen last."""

    groups: Sequence[GroupSeen] = ()
    topics: Sequence[TopicSeen] = ()
    outboxes: Sequence[OutboxSeen] = ()
    subscriptions: Sequence[SubscriptionSeen] = ()
    #: when each part was last seen whole
    seen_at: Mapping[str, datetime] = field(default_factory=dict)
    #: what is wrong, the worst first
    findings: Sequence[Finding] = ()
    #: grows with every change
    version: int = 0


class Watch:
    """The picture, and how each part of it is looked at; nothing here begins to look by itself."""

    def __init__(self, kafka: Kafka, clock: Clock = _now) -> None:
        self._kafka = kafka
        self._clock = clock
        self._windows = Windows(_LOOKS)
        self._reached: dict[str, tuple[float, int]] = {}
        #: what could not be looked at, by its name
        self._troubles: dict[str, str] = {}
        #: since when each finding is there, by its key
        self._began: dict[str, datetime] = {}
        self._looked_at = float("-inf")
        #: grows each time that somebody has changed something and wants to see it
        self.hurries = 0
        self.parked = ParkedIndex()
        self.picture = Picture()

    def look(self) -> Picture:
        """The picture, for somebody who will look again within seconds."""
        self._looked_at = time.monotonic()
        return self.picture

    @property
    def is_watched(self) -> bool:
        """Whether somebody has looked lately: nobody needs what is fresh where nobody looks."""
        return time.monotonic() - self._looked_at < _UNSEEN_AFTER

    def hurry(self) -> None:
        """Let every part be looked at soon: something was changed."""
        self.hurries += 1

    async def look_at_groups(self, groups: Groups) -> None:
        """One more look at every group; raises KafkaError."""
        names = await groups.names()
        members, looks = await groups.look(names)
        self._windows.take(members, looks)
        firsts = await groups.firsts(self._windows.last)
        seen = groups_of(names, self._windows.members, self._windows.looks, firsts)
        seen.sort(key=lambda each: (-_badness(each), -each.records, each.name))
        self._show("groups", groups=seen)

    async def look_at_parked(self, tail: ParkedTail) -> None:
        """Read what was parked and sent back since; raises KafkaError."""
        async for told in tail.more():
            self.parked.take(told)
        self._show("parked messages")

    async def look_at_topics(self) -> None:
        """Every topic, and its rate since the last look; raises KafkaError."""
        now = time.monotonic()
        seen = await topics_seen(self._kafka, 0)
        before, self._reached = self._reached, {each.name: (now, each.reached) for each in seen}
        self._show("topics", topics=[_with_rate(each, now, before.get(each.name)) for each in seen])

    async def look_at_services(self, services: Services) -> None:
        """The outbox of every service; one that does not answer is named, and the others are asked all the same."""
        seen = {each.service: each for each in self.picture.outboxes}
        for name in services.names:
            try:
                seen[name] = await outbox_seen(services, name)
                self._troubles.pop(name, None)
            except Trouble as trouble:
                self._troubles[name] = str(trouble)
        if seen:
            self._show("outboxes", outboxes=[seen[name] for name in services.names if name in seen])
        else:
            self._tell(self.picture)

    async def look_at_subscriptions(self, services: Services) -> None:
        """Subscriptions whose endpoints are failing; while somebody looks, the others as well. Raises Trouble."""
        found = await subscriptions_seen(services, _MOST_FAILING, failing=True)
        if self.is_watched:
            failing = {each.id for each in found}
            found += [
                each for each in await subscriptions_seen(services, _MOST_SUBSCRIPTIONS) if each.id not in failing
            ]
        self._show("subscriptions", subscriptions=found)

    def could_not(self, part: str, sentence: str) -> None:
        """Note that a part could not be looked at, and why: what is shown of it stays as it is."""
        self._troubles[part] = sentence
        self._tell(self.picture)

    def _show(self, part: str, **changed: Sequence[object]) -> None:
        self._troubles.pop(part, None)
        seen_at = {**self.picture.seen_at, part: self._clock()}
        self._tell(replace(self.picture, seen_at=seen_at, **changed))  # type: ignore[arg-type] # parts of the picture

    def _tell(self, picture: Picture) -> None:
        now = self._clock()
        found = worst_first(self._dated(self._findings(picture, now), now))
        self._began = {each.key: each.since or now for each in found}
        self.picture = replace(picture, findings=found, version=picture.version + 1)

    def _findings(self, picture: Picture, now: datetime) -> list[Finding]:
        return [
            *of_troubles(self._troubles),
            *of_groups(picture.groups, now),
            *of_outboxes(picture.outboxes, now),
            *of_parked(self.parked),
            *of_subscriptions(picture.subscriptions),
        ]

    def _dated(self, findings: Iterable[Finding], now: datetime) -> Iterable[Finding]:
        """Where nothing tells since when, it is since it was found first."""
        return (each if each.since else replace(each, since=self._began.get(each.key, now)) for each in findings)


def _badness(group: GroupSeen) -> int:
    return list(State).index(group.state)


def _with_rate(topic: TopicSeen, now: float, before: tuple[float, int] | None) -> TopicSeen:
    if before is None or now <= before[0]:
        return topic
    return replace(topic, rate=max(0, topic.reached - before[1]) / (now - before[0]))
