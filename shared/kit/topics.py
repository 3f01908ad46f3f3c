"""Topics are made by one explicit, idempotent step from the contract's table, never by auto-creation."""

from collections.abc import Iterable

import stamina
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from shared.contracts import Topic

from .kafka import Kafka

#: how long brokers may take to see what the controller has created, in seconds; a broker that is swamped takes half a
#: minute for the topics of three services
_SEEN_WITHIN = 120.0


class TopicMissingError(Exception):
    """A topic has not been created yet."""


class TopicMismatchError(Exception):
    """A topic has another number of partitions than everything that was written to it rests on."""


async def ensure_topics(kafka: Kafka, topics: Iterable[Topic], *, partitions: int, replication: int) -> list[str]:
    """Create those of `topics` that are missing and check the partitions of the others; answers what was created."""
    wanted = {kafka.physical(topic.name): topic for topic in topics}
    admin = kafka.admin()
    await admin.start()
    try:
        created = await _create(admin, wanted, partitions, replication)
        # What the controller has created the brokers may see a moment later.
        async for attempt in stamina.retry_context(
            on=TopicMissingError, attempts=None, timeout=_SEEN_WITHIN, wait_initial=0.05, wait_max=0.5
        ):
            with attempt:
                await check_partitions(admin, sorted(wanted), partitions)
    finally:
        await admin.close()
    return created


async def check_partitions(admin: AIOKafkaAdminClient, names: list[str], partitions: int) -> None:
    """Refuse to go on with topics whose number of partitions differs: keys would move, order and barrier with them.

    Raises TopicMismatchError, or TopicMissingError for what is not there.
    """
    for described in await admin.describe_topics(names):
        found = len(described["partitions"])
        if for_code(described["error_code"]) is TopicAuthorizationFailedError:
            raise TopicAuthorizationFailedError(described["topic"])
        if described["error_code"]:
            msg = f"there is no topic {described['topic']} yet: run `migrate`"
            raise TopicMissingError(msg)
        if found != partitions:
            msg = f"{described['topic']} has {found} partitions and not {partitions}: set PORTFOLIO_BUS_PARTITIONS"
            raise TopicMismatchError(msg)


async def _create(admin: AIOKafkaAdminClient, wanted: dict[str, Topic], partitions: int, replication: int) -> list[str]:
    missing = sorted(wanted.keys() - set(await admin.list_topics()))
    if not missing:
        return []
    new = [NewTopic(name, partitions, replication, topic_configs=wanted[name].config()) for name in missing]
    answer = await admin.create_topics(new)
    for name, code, *_ in answer.topic_errors:
        # Another replica's step may have been faster.
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise for_code(code)(name)
    return missing
