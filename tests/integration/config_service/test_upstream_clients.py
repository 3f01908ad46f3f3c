"""The typed client of upstream services, with each of two Kafka clients against the running service."""

from uuid import UUID, uuid4

import pytest

from shared.contracts import (
    CONFIGURATIONS_EVENTS,
    CommandAccepted,
    CommandRejected,
    CreateConfiguration,
    DeleteConfiguration,
    Record,
    partition_of,
    record_of,
)
from shared.kit.kafka import Kafka
from tests.conftest import PARTITIONS

from .bus import events, said_on
from .callers import Caller
from .upstreams import AIOKAFKA, CONFLUENT, Upstream

SOURCE = "/upstream/broker"

BY_EACH_CLIENT = pytest.mark.parametrize(
    "upstream", [pytest.param(AIOKAFKA, id="aiokafka"), pytest.param(CONFLUENT, id="confluent-kafka")]
)


async def _create(caller: Caller, account_id: str | None = None) -> Record:
    account = UUID(account_id or await caller.an_account())
    create = CreateConfiguration(account_id=account, allocation_id=UUID(await caller.an_allocation()))
    return record_of(create, client_id=caller.client_id, source=SOURCE)


async def _account_that_librdkafka_puts_elsewhere(caller: Caller, kafka: Kafka) -> tuple[Record, int]:
    """A command as confluent-kafka has sent it, onto another partition than ours would be on."""
    for _ in range(50):
        command = await _create(caller)
        (partition,) = await CONFLUENT.send(kafka, [command])
        if partition != partition_of(command.key, PARTITIONS):
            return command, partition
    pytest.fail("librdkafka's partitions are ours after all")


@BY_EACH_CLIENT
async def test_a_command_sent_three_times_has_one_effect_and_three_equal_replies(
    upstream: Upstream, caller: Caller, kafka: Kafka
) -> None:
    command = await _create(caller)
    await upstream.send(kafka, [command, command, command])
    replies = await upstream.replies(kafka, command, 3)

    assert len({reply.envelope.id for reply in replies}) == 1
    assert all(reply.message == replies[0].message for reply in replies)
    shown = await caller.get(f"/portfolios/configurations/{command.key.decode()}")
    assert isinstance(replies[0].message, CommandAccepted)
    assert replies[0].message.resource == shown.body
    said = await said_on(kafka, CONFIGURATIONS_EVENTS, command.key.decode())
    assert [each.type for each in said] == ["ConfigurationCreated"]


@BY_EACH_CLIENT
async def test_a_refused_command_is_replied_to_with_the_problem(
    upstream: Upstream, caller: Caller, kafka: Kafka
) -> None:
    delete = DeleteConfiguration(account_id=uuid4())
    command = record_of(delete, client_id=caller.client_id, source=SOURCE, correlation_id="story")
    await upstream.send(kafka, [command])
    (reply,) = await upstream.replies(kafka, command, 1)

    assert isinstance(reply.message, CommandRejected)
    assert (reply.message.problem.status, reply.message.problem.request_id) == (404, "story")


async def test_two_sources_that_count_their_commands_alike_each_find_their_own_reply(
    caller: Caller, kafka: Kafka
) -> None:
    create = CreateConfiguration(
        account_id=UUID(await caller.an_account()), allocation_id=UUID(await caller.an_allocation())
    )
    sources = ("/upstream/a", "/upstream/b")
    one, other = (record_of(create, client_id=caller.client_id, source=source, id="1") for source in sources)
    await AIOKAFKA.send(kafka, [one, other])

    (first,) = await AIOKAFKA.replies(kafka, one, 1)
    (second,) = await AIOKAFKA.replies(kafka, other, 1)
    assert isinstance(first.message, CommandAccepted)
    assert isinstance(second.message, CommandRejected)
    assert second.message.problem.status == 409


async def test_it_does_not_matter_that_librdkafka_chooses_other_partitions(caller: Caller, kafka: Kafka) -> None:
    command, _ = await _account_that_librdkafka_puts_elsewhere(caller, kafka)
    # The repetition comes on the partition of ours, where another consumer may take it at the same time.
    await AIOKAFKA.send(kafka, [command])
    replies = await CONFLUENT.replies(kafka, command, 2)

    assert {type(reply.message) for reply in replies} == {CommandAccepted}
    assert all(reply.message == replies[0].message for reply in replies)
    said = await said_on(kafka, CONFIGURATIONS_EVENTS, command.key.decode())
    assert [each.type for each in said] == ["ConfigurationCreated"]


async def test_commands_of_one_account_stay_in_order_on_librdkafkas_partition_too(caller: Caller, kafka: Kafka) -> None:
    first, partition = await _account_that_librdkafka_puts_elsewhere(caller, kafka)
    account_id = first.key.decode()
    delete = record_of(DeleteConfiguration(account_id=UUID(account_id)), client_id=caller.client_id, source=SOURCE)
    again = await _create(caller, account_id)
    partitions = await CONFLUENT.send(kafka, [delete, again])
    await CONFLUENT.replies(kafka, again, 1)

    assert partitions == [partition, partition]
    said = await events(kafka, CONFIGURATIONS_EVENTS, account_id, 3)
    assert [each.type for each in said] == ["ConfigurationCreated", "ConfigurationDeleted", "ConfigurationCreated"]
