"""What waits first for each group, and how often Kafka is asked for it."""

import time

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.ops_console.clients import Groups
from services.ops_console.clients.groups import rounds
from shared.contracts import Topic
from shared.kit.kafka import Kafka
from shared.kit.topics import ensure_topics

TOPIC = Topic(name="read.by.two.v1", holds="numbers", key="nothing")
AHEAD, BEHIND = "service.ahead", "service.behind"
#: milliseconds before now
WRITTEN_BEFORE = (3_000_000, 2_000_000, 1_000_000)


@pytest.fixture
async def bus(kafka: Kafka) -> Kafka:
    """Two groups that nobody is in: one has done nothing of a partition, one the first record of it."""
    await ensure_topics(kafka, [TOPIC], partitions=2, replication=1)
    async with kafka.producer() as producer:
        for before in WRITTEN_BEFORE:
            stamp = int(time.time() * 1000) - before
            await producer.send_and_wait(kafka.physical(TOPIC.name), b"x", partition=0, timestamp_ms=stamp)
    await _stand(kafka, BEHIND, 0)
    await _stand(kafka, AHEAD, 1)
    return kafka


async def _stand(kafka: Kafka, group: str, at: int) -> None:
    where = TopicPartition(kafka.physical(TOPIC.name), 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=kafka.physical(group), enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([where])
        await consumer.commit({where: at})
    finally:
        await consumer.stop()


async def _ages(groups: Groups) -> dict[str, float]:
    """How old what waits first is, by group."""
    _, looks = await groups.look([AHEAD, BEHIND])
    firsts = await groups.firsts(looks)
    return {group: first.seconds for (group, _, _), first in firsts.items() if first.seconds is not None}


async def test_two_groups_at_two_places_of_one_partition_have_each_a_first_record_of_their_own(bus: Kafka) -> None:
    async with Groups.of(bus) as groups:
        ages = await _ages(groups)
    assert ages[BEHIND] - ages[AHEAD] == pytest.approx(1_000, abs=100)


async def test_what_waits_first_is_read_once_until_the_group_gets_on(bus: Kafka) -> None:
    async with Groups.of(bus) as groups:
        before = await _ages(groups)
        groups._consumer.assign([])
        again = await _ages(groups)
        assert groups._consumer.assignment() == set()
        assert again[BEHIND] >= before[BEHIND]

        await _stand(bus, BEHIND, 2)
        ages = await _ages(groups)
        assert ages[AHEAD] - ages[BEHIND] == pytest.approx(1_000, abs=100)

        await _stand(bus, BEHIND, 3)
        assert set(await _ages(groups)) == {AHEAD}


def test_places_are_read_in_few_rounds_and_never_two_of_a_partition_in_one() -> None:
    places = [(TopicPartition("topic", partition), at) for at in (5, 7) for partition in range(3)]
    assert [len(each) for each in rounds(places, 2)] == [2, 2, 2]
    assert [len(each) for each in rounds(places, 100)] == [3, 3]
    assert sorted(place for each in rounds(places, 2) for place in each.items()) == sorted(places)
