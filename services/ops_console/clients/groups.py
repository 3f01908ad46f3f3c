"""Consumer groups as Kafka knows them: who is in them, how far they have come, and what waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from services.ops_console.domain import Look
from shared.contracts import parked_topic
from shared.kit.kafka import Kafka
from shared.kit.reading import asking

_PARKED = parked_topic("").name
_WAIT_MS = 500
_TRIES = 10

#: group, topic and partition, by their logical names
Where = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class First:
    """The first record that waits, if there is one: else only markers of transactions do."""

    #: its age; None where only markers wait
    seconds: float | None


class Groups:
    """The groups of this installation, looked at as often as wanted."""

    def __init__(self, kafka: Kafka, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._kafka = kafka
        self._admin = admin
        self._consumer = consumer
        #: partitions that members of each group have read while it was looked at
        self._read: dict[str, set[TopicPartition]] = {}

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
        members = {group: count for group, (count, _) in zip(groups, seen, strict=True)}
        stood: dict[str, dict[TopicPartition, int]] = {}
        # What was read is remembered: a group without members, which had nothing stored yet, has not done it either.
        self._read = {group: self._read.get(group, set()) for group in groups}
        for group, (_, assigned) in zip(groups, seen, strict=True):
            self._read[group].update(assigned)
            stored = await self._stored(group)
            # Where nothing is stored yet, the group will begin with whatever there is.
            beginnings = await self._consumer.beginning_offsets(self._read[group] - stored.keys())
            stood[group] = {**beginnings, **stored}
        ends = await self._consumer.end_offsets(list({tp for positions in stood.values() for tp in positions}))
        looks = {
            (group, self._kafka.logical(tp.topic), tp.partition): Look(at, ends[tp], members[group])
            for group, positions in stood.items()
            for tp, at in sorted(positions.items())
        }
        return members, looks

    async def firsts(self, looks: Mapping[Where, Look]) -> dict[Where, First]:
        """The first record that waits on each partition where something does."""
        found: dict[Where, First] = {}
        # Two groups may stand at different places of one partition, and a reader stands at one place only.
        for group in dict.fromkeys(group for group, _, _ in looks):
            mine = {
                TopicPartition(self._kafka.physical(where[1]), where[2]): where
                for where, look in looks.items()
                if where[0] == group and look.waiting
            }
            stamped = await self._stamped({tp: looks[where] for tp, where in mine.items()})
            now = time.time()
            found |= {mine[tp]: First(None if at is None else max(0.0, now - at)) for tp, at in stamped.items()}
        return found

    async def _stamped(self, looks: Mapping[TopicPartition, Look]) -> dict[TopicPartition, float | None]:
        """When the first record behind each position was stamped; None where there is none up to the end."""
        beginnings = await self._consumer.beginning_offsets(list(looks))
        self._consumer.assign(list(looks))
        for tp, look in looks.items():
            self._consumer.seek(tp, max(look.committed, beginnings[tp]))
        found: dict[TopicPartition, float | None] = {}
        for _ in range(_TRIES):
            waiting = [tp for tp in looks if tp not in found]
            if not waiting:
                break
            for tp, records in (await self._consumer.getmany(*waiting, timeout_ms=_WAIT_MS)).items():
                found.setdefault(tp, records[0].timestamp / 1000)
            passed = [tp for tp in waiting if tp not in found and await self._consumer.position(tp) >= looks[tp].end]
            found |= dict.fromkeys(passed)
        return found

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
