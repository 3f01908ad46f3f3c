"""Consumer groups as Kafka knows them: who is in them, how far they have come, and what waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from services.ops_console.domain import Look
from shared.contracts import parked_topic
from shared.kit.kafka import Kafka
from shared.kit.reading import asking, know_leaders

_PARKED = parked_topic("").name
_WAIT_MS = 500
_TRIES = 10
#: partitions that are read at once; each may send a megabyte
_AT_ONCE = 100

#: group, topic and partition, by their logical names
Where = tuple[str, str, int]

#: a partition, and where in it somebody stands
Place = tuple[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class First:
    """The first record that waits, if there is one: else only markers of transactions do."""

    #: its age; None where only markers wait
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found at a place."""

    #: when the first record was stamped; None where there was none up to the end
    stamp: float | None
    end: int

    def at(self, now: float) -> First:
        return First(None if self.stamp is None else max(0.0, now - self.stamp))


class Groups:
    """The groups of this installation, looked at as often as wanted."""

    def __init__(self, kafka: Kafka, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._admin = admin
        self._consumer = consumer
        #: partitions that members of each group have read while it was looked at
        self._read: dict[str, set[TopicPartition]] = {}
        #: what was found at the places that groups stand at
        self._firsts: dict[Place, _Seen] = {}

    @classmethod
    @asynccontextmanager
    async def of(cls, kafka: Kafka) -> AsyncIterator["Groups"]:
        """For the length of the block; raises KafkaError where no broker answers."""
        async with asking(kafka) as (admin, consumer):
            yield cls(kafka, admin, consumer)

    async def names(self) -> list[str]:
        """The groups by their logical names: those that Kafka knows, and those with a topic for parked messages."""
        prefix = self._kafka.prefix
        parked = [name.removesuffix(_PARKED) for name in await self._admin.list_topics() if name.endswith(_PARKED)]
        known = [name for name, protocol in await self._admin.list_consumer_groups() if protocol in {"consumer", ""}]
        return sorted({self._kafka.logical(name) for name in (*parked, *known) if name and name.startswith(prefix)})

    async def look(self, groups: Sequence[str]) -> tuple[dict[str, int], dict[Where, Look]]:
        """How many members each group has, and what there is to see of each partition that it reads or has read."""
        # One by one: aiokafka 0.14 cannot read the answer about several.
        seen = await asyncio.gather(*map(self._members_of, groups))
        stored = dict(zip(groups, await asyncio.gather(*map(self._stored, groups)), strict=True))
        members = {group: count for group, (count, _) in zip(groups, seen, strict=True)}
        # What was read is remembered: a group without members, which had nothing stored yet, has not done it either.
        self._read = {group: self._read.get(group, set()) for group in groups}
        for group, (_, assigned) in zip(groups, seen, strict=True):
            self._read[group].update(assigned)
        # Where nothing is stored yet, the group will begin with whatever there is.
        unstored = {group: self._read[group] - stored[group].keys() for group in groups}
        partitions = {tp for group in groups for tp in (*unstored[group], *stored[group])}
        await know_leaders(self._consumer, partitions)
        beginnings = await self._consumer.beginning_offsets(list(set().union(*unstored.values())))
        ends = await self._consumer.end_offsets(list(partitions))
        looks = {
            (group, self._kafka.logical(tp.topic), tp.partition): Look(at, ends[tp], members[group])
            for group in groups
            for tp, at in sorted({**{tp: beginnings[tp] for tp in unstored[group]}, **stored[group]}.items())
        }
        return members, looks

    async def firsts(self, looks: Mapping[Where, Look]) -> dict[Where, First]:
        """The first record that waits on each partition where something does."""
        waiting = {where: look for where, look in looks.items() if look.waiting}
        partitions = {where: TopicPartition(self._kafka.physical(where[1]), where[2]) for where in waiting}
        await know_leaders(self._consumer, partitions.values())
        beginnings = await self._consumer.beginning_offsets(list(set(partitions.values())))
        places = {
            where: (partitions[where], max(look.committed, beginnings[partitions[where]]))
            for where, look in waiting.items()
        }
        ends = {places[where]: look.end for where, look in waiting.items()}
        await self._read_firsts(ends)
        now = time.time()
        return {where: self._firsts[place].at(now) for where, place in places.items() if place in self._firsts}

    async def _read_firsts(self, ends: Mapping[Place, int]) -> None:
        # What waits first stays the first until the group gets on: however often it is looked at, it is read once.
        self._firsts = {
            place: first
            for place, first in self._firsts.items()
            if place in ends and (first.stamp is not None or first.end >= ends[place])
        }
        for places in rounds(place for place in ends if place not in self._firsts):
            self._firsts |= await self._stamped(places, ends)

    async def _stamped(self, at: Mapping[TopicPartition, int], ends: Mapping[Place, int]) -> dict[Place, _Seen]:
        """When the first record behind each position was stamped, if there is one up to the end."""
        self._consumer.assign(list(at))
        for tp, offset in at.items():
            self._consumer.seek(tp, offset)
        found: dict[Place, _Seen] = {}
        for _ in range(_TRIES):
            waiting = [place for place in at.items() if place not in found]
            if not waiting:
                break
            came = await self._one_of(*(tp for tp, _ in waiting), wait_ms=_WAIT_MS)
            for tp, offset in waiting:
                stamp = (came if tp in came else await self._one_of(tp)).get(tp)
                if stamp is not None or await self._consumer.position(tp) >= ends[tp, offset]:
                    found[tp, offset] = _Seen(stamp, ends[tp, offset])
        return found

    async def _one_of(self, *partitions: TopicPartition, wait_ms: int = 0) -> dict[TopicPartition, float]:
        """When the next record of one of these was stamped; of what came with it none is unpacked."""
        came = await self._consumer.getmany(*partitions, timeout_ms=wait_ms, max_records=1)
        return {tp: records[0].timestamp / 1000 for tp, records in came.items()}

    async def _members_of(self, group: str) -> tuple[int, list[TopicPartition]]:
        """How many members the group has, and the partitions that they read."""
        (answer,) = await self._admin.describe_consumer_groups([self._kafka.physical(group)])
        # error, name, state, protocol's type, protocol, members, …
        members = answer.groups[0][5]
        # member's id, client's id, host, metadata, assignment
        shares = [ConsumerProtocolMemberAssignment.decode(member[4]) for member in members if member[4]]
        return len(members), [tp for share in shares for tp in share.partitions()]

    async def _stored(self, group: str) -> dict[TopicPartition, int]:
        told = await self._admin.list_consumer_group_offsets(self._kafka.physical(group))
        return {tp: stored.offset for tp, stored in told.items() if stored.offset >= 0}


def rounds(places: Iterable[Place], at_once: int = _AT_ONCE) -> list[dict[TopicPartition, int]]:
    """The places in few rounds: two groups may stand in one partition, and a reader stands at one place of it only."""
    found: list[dict[TopicPartition, int]] = []
    for tp, at in places:
        fits = next((each for each in found if tp not in each and len(each) < at_once), None)
        if fits is None:
            found.append(fits := {})
        fits[tp] = at
    return found
