"""Topics are made by an explicit step from the table; doing it again changes nothing."""

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import CONFIGURATIONS_EVENTS, ORDERS_COMMANDS
from shared.kit.kafka import Kafka
from shared.kit.topics import TopicMismatchError, TopicMissingError, check_partitions, ensure_topics
from tests.conftest import PARTITIONS

TOPICS = [CONFIGURATIONS_EVENTS, ORDERS_COMMANDS]


async def made(kafka: Kafka, partitions: int = PARTITIONS) -> list[str]:
    return await ensure_topics(kafka, TOPICS, partitions=partitions, replication=1)


async def test_topics_are_made_by_the_step_alone_and_once(kafka: Kafka) -> None:
    names = sorted(kafka.physical(topic.name) for topic in TOPICS)
    admin = kafka.admin()
    await admin.start()
    try:
        with pytest.raises(TopicMissingError):
            await check_partitions(admin, names, PARTITIONS)
        assert await made(kafka) == names
        assert await made(kafka) == []
        await check_partitions(admin, names, PARTITIONS)
    finally:
        await admin.close()


async def test_a_topic_is_kept_as_the_table_says(kafka: Kafka) -> None:
    await made(kafka)
    admin = kafka.admin()
    await admin.start()
    try:
        for topic in TOPICS:
            resource = ConfigResource(ConfigResourceType.TOPIC, kafka.physical(topic.name))
            (answer,) = await admin.describe_configs([resource])
            kept = {name: value for name, value, *_ in answer.resources[0][4]}
            assert {name: kept[name] for name in topic.config()} == topic.config()
    finally:
        await admin.close()


async def test_another_number_of_partitions_is_refused(kafka: Kafka) -> None:
    await made(kafka)
    with pytest.raises(TopicMismatchError, match="PORTFOLIO_BUS_PARTITIONS"):
        await made(kafka, PARTITIONS + 1)
