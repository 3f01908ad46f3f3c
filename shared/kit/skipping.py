"""The way past what a group can never take: records that are gone, or that no client can take apart (P7).

A group never passes over anything by itself; this is an operator's word. Where it stands is said twice, by Kafka and by
the database of its effects, and it begins at the lesser of the two: both are moved on.
"""

import asyncio
import logging
from dataclasses import dataclass

from aiokafka import TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka import TopicPartition as At
from confluent_kafka.admin import AdminClient

from .kafka import Kafka
from .projections import advance, applied
from .reading import asking, partitions_of
from .unit_of_work import Database

_ANSWER_SECONDS = 30.0


class NotSkippedError(Exception):
    """Nothing was moved, and the text says what to do."""


@dataclass(frozen=True)
class Skipped:
    """A partition in which the group stands elsewhere now; what lies between is never taken."""

    partition: int
    at: int
    instead_of: int


async def skip(
    database: Database, kafka: Kafka, group: str, topic: str, *, partition: int | None = None, to: int | None = None
) -> list[Skipped]:
    """Have `group` go on in `topic` with the first record that there is, or in one `partition` with offset `to`.

    Only forward, and only while nobody is in the group. May be repeated. Raises NotSkippedError and KafkaError.
    """
    places = [tp for tp in await partitions_of(kafka, topic) if partition is None or tp.partition == partition]
    if not places:
        msg = f"{topic} has no partition {partition}"
        raise NotSkippedError(msg)
    async with asking(kafka) as (admin, consumer):
        stored = await admin.list_consumer_group_offsets(kafka.physical(group))
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    committed = {tp: known.offset for tp, known in stored.items() if known.offset >= 0}
    if to is not None and to > ends[places[0]]:
        msg = f"{topic}/{places[0].partition} ends at {ends[places[0]]}"
        raise NotSkippedError(msg)
    async with database.reading() as connection:
        known = await applied(connection, group)
    moved = []
    for tp in places:
        stands = [at for at in (committed.get(tp), known.get((topic, tp.partition))) if at is not None]
        target = firsts[tp] if to is None else to
        if stands and min(stands) < target:
            moved.append(Skipped(tp.partition, target, min(stands)))
    # Kafka first, which refuses where somebody is in the group.
    behind = [each for each in moved if committed.get(_place(kafka, topic, each), each.at) < each.at]
    await asyncio.to_thread(_commit, kafka, group, topic, behind)
    async with database.unit_of_work() as work:
        await advance(work.connection, group, {(topic, each.partition): each.at for each in moved}, {})
    return moved


def _place(kafka: Kafka, topic: str, skipped: Skipped) -> TopicPartition:
    return TopicPartition(kafka.physical(topic), skipped.partition)


def _commit(kafka: Kafka, group: str, topic: str, moved: list[Skipped]) -> None:
    if not moved:
        return
    admin = AdminClient({**kafka.for_librdkafka}, logger=logging.getLogger("librdkafka"))
    places = [At(kafka.physical(topic), each.partition, each.at) for each in moved]
    asked = [ConsumerGroupTopicPartitions(kafka.physical(group), places)]
    (answer,) = admin.alter_consumer_group_offsets(asked, request_timeout=_ANSWER_SECONDS).values()
    try:
        faults = [each.error for each in answer.result(_ANSWER_SECONDS).topic_partitions if each.error is not None]
    except KafkaException as refused:
        faults = [refused.args[0]]
    if faults:
        msg = f"Kafka does not move {group}: stop every process that consumes for it first ({faults[0].str()})"
        raise NotSkippedError(msg)
