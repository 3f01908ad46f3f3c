"""The stack serves, and what was written survives a SIGKILL and a restart."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError
from confluent_kafka import Producer

from deploy.local.kafka import brokers_seen
from deploy.local.loops import completed
from deploy.local.stack import Stack, local_stack
from deploy.local.topics import records_of
from shared.kit.kafka import Kafka

_READ_SECONDS = 60.0


async def _make_topic(bootstrap: str, topic: str, replication: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=replication)])
    finally:
        await admin.close()


async def _keep(bootstrap: str, topic: str) -> None:
    # In no transaction: a commit is acknowledged before it is marked, and this broker is killed in the next moment.
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, b"kept")


async def _produce(bootstrap: str, topic: str, *, commit: bool = True) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{topic}-writer") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"committed" if commit else b"aborted")
        await (producer.commit_transaction() if commit else producer.abort_transaction())


async def _first_record(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    async with consumer, asyncio.timeout(_READ_SECONDS):
        return bytes((await consumer.getone()).value)


async def _execute(dsn: str, *statements: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row for statement in statements for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def test_a_committed_record_comes_back_and_an_aborted_one_does_not(own_stack: Stack) -> None:
    async def story() -> bytes:
        await _make_topic(own_stack.kafka, "transactions")
        await _produce(own_stack.kafka, "transactions", commit=False)
        await _produce(own_stack.kafka, "transactions")
        return await _first_record(own_stack.kafka, "transactions")

    assert completed(story()) == b"committed"


def test_reading_a_topic_that_is_not_there_names_it(own_stack: Stack) -> None:
    with pytest.raises(UnknownTopicOrPartitionError, match=r"old\.nothing"):
        completed(records_of(Kafka(own_stack.kafka, "old."), "nothing"))


def test_what_a_broker_unpacks_goes_with_its_data(own_stack: Stack) -> None:
    completed(_make_topic(own_stack.kafka, "packed"))
    producer = Producer({"bootstrap.servers": own_stack.kafka, "compression.type": "lz4"})
    producer.produce("packed", b"x" * 1000)
    assert producer.flush(20) == 0

    assert list(own_stack.directory.glob("liblz4-java*.so")), "the library that reads it"


def test_a_killed_broker_comes_back_with_its_records(own_stack: Stack) -> None:
    broker = own_stack.nodes["kafka-1"]
    completed(_make_topic(own_stack.kafka, "kept"))
    completed(_keep(own_stack.kafka, "kept"))
    killed = broker.pid

    broker.kill()
    assert not broker.alive()
    assert brokers_seen(own_stack.kafka) == 0
    broker.restart()

    assert broker.pid != killed
    assert completed(_first_record(own_stack.kafka, "kept")) == b"kept"


def test_a_killed_database_comes_back_with_its_rows(own_stack: Stack) -> None:
    dsn = own_stack.create_database("kept")
    completed(_execute(dsn, "CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('here')"))
    postgres = own_stack.nodes["postgres"]

    postgres.kill()
    with pytest.raises(OSError, match=r"refused|failed"):
        completed(_execute(dsn, "SELECT 1"))
    postgres.restart()

    assert [row["word"] for row in completed(_execute(dsn, "SELECT word FROM kept"))] == ["here"]


def test_a_database_asked_for_twice_is_the_same_one(own_stack: Stack) -> None:
    assert own_stack.create_database("twice") == own_stack.create_database("twice")


def test_postgres_keeps_its_promise_of_durability(own_stack: Stack) -> None:
    rows = completed(_execute(own_stack.postgres, "SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes"))
    assert [row[0] for row in rows] == ["on", "on", "on"]


def test_a_named_directory_keeps_data_and_addresses_for_the_next_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = _open_to_other_users(tmp_path_factory.mktemp("named"))
    with local_stack(directory=directory) as stack:
        first = (stack.kafka, stack.create_database("kept"))
        completed(_make_topic(stack.kafka, "kept"))
        completed(_keep(stack.kafka, "kept"))
    with local_stack(directory=directory) as stack:
        assert (stack.kafka, stack.create_database("kept")) == first
        assert completed(_first_record(stack.kafka, "kept")) == b"kept"


def test_three_brokers_go_on_without_one_of_them() -> None:
    with local_stack(brokers=3) as stack:
        completed(_make_topic(stack.kafka, "replicated", replication=3))
        stack.nodes["kafka-2"].kill()
        completed(_produce(stack.kafka, "replicated"))
        stack.nodes["kafka-2"].restart()
        assert completed(_first_record(stack.kafka, "replicated")) == b"committed"
        assert brokers_seen(stack.kafka) == len(stack.nodes) - 1


def _open_to_other_users(directory: Path) -> Path:
    """Let PostgreSQL's user pass through pytest's private directories, where root runs the tests."""
    base = Path(tempfile.gettempdir())
    for each in (directory, *directory.parents):
        if base in each.parents:
            each.chmod(0o711)
    return directory
