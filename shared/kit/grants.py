"""What each service may do on Kafka, as access lists of the broker: made from what it declares.

Sources: the operations that Kafka's authorizer asks for, by request ("Authorization and ACLs" in its documentation).
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import stamina
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its package does not say that it exports them
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from shared.contracts import TOPICS, Topic, parked_topic, redrive_topic

from .kafka import Kafka
from .subscriber import Subscriber

_ANSWER_SECONDS = 30.0
#: how long a broker may take to apply what the controller has taken, in seconds
_APPLIED_WITHIN = 60.0

#: Kafka's own way to say all names
_EVERYTHING = "*"


class Kind(StrEnum):
    """What is granted something on; Kafka's words."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional id"


class Operation(StrEnum):
    """What may be done with it; Kafka's words. Whoever may read or write may also look (describe)."""

    READ = "read"
    WRITE = "write"
    DESCRIBE = "describe"
    DESCRIBE_CONFIGS = "describe configs"


@dataclass(frozen=True, order=True)
class Grant:
    """One entry of the access lists."""

    kind: Kind
    #: logical, as in the contract; all that begin so where it is `prefixed`
    name: str
    operation: Operation
    prefixed: bool = False


def grants_of(service: str, publishes: Iterable[Topic], subscribers: Sequence[Subscriber]) -> list[Grant]:
    """What a service of this name needs that publishes these topics and has these groups, and nothing else."""
    topics = {Grant(Kind.TOPIC, topic.name, Operation.WRITE) for topic in publishes}
    for subscriber in subscribers:
        parked, redriven = parked_topic(subscriber.group), redrive_topic(subscriber.group)
        topics |= {Grant(Kind.TOPIC, topic.name, Operation.READ) for topic in (*subscriber.all_topics, parked)}
        topics |= {Grant(Kind.TOPIC, topic.name, Operation.WRITE) for topic in (parked, redriven)}
    groups = {Grant(Kind.GROUP, subscriber.group, Operation.READ) for subscriber in subscribers}
    # Its relays: whoever may use the id may fence them.
    relays = Grant(Kind.TRANSACTIONAL_ID, f"{service}.relay.", Operation.WRITE, prefixed=True)
    return sorted([*topics, *groups, relays])


def grants_to_look() -> list[Grant]:
    """What ops_console needs: to look at everything, and to send commands."""
    looks = (Operation.READ, Operation.DESCRIBE_CONFIGS)
    commands = [topic.name for topic in TOPICS if topic.name.endswith(".commands.v1")]
    return sorted(
        [
            *(Grant(Kind.TOPIC, "", operation, prefixed=True) for operation in looks),
            *(Grant(Kind.TOPIC, name, Operation.WRITE) for name in commands),
            Grant(Kind.GROUP, "", Operation.DESCRIBE, prefixed=True),
        ]
    )


class NotGrantedError(Exception):
    """Kafka did not take the access lists: whoever asked is no administrator, or it keeps none."""


class _NotAppliedYetError(TimeoutError):
    """A broker does not tell of them yet."""


async def grant(kafka: Kafka, principal: str, grants: Iterable[Grant]) -> int:
    """Let `principal` (`User:<name>`) have them, by whoever `kafka` signs in as; answers how many. May be repeated.

    Returns once they are seen to hold: brokers apply them a moment after the controller has taken them, and whoever
    was granted something and started at once would be refused it. Raises NotGrantedError.
    """
    bindings = [_binding(kafka, principal, each) for each in grants]
    await asyncio.to_thread(_create, kafka, bindings)
    return len(bindings)


def _create(kafka: Kafka, bindings: Sequence[AclBinding]) -> None:
    admin = AdminClient({**kafka.for_librdkafka}, logger=logging.getLogger("librdkafka"))
    try:
        for answer in admin.create_acls(list(bindings), request_timeout=_ANSWER_SECONDS).values():
            answer.result(_ANSWER_SECONDS)
        _wait_until_applied(admin, bindings)
    except (KafkaException, TimeoutError) as fault:
        raise NotGrantedError(str(fault) or repr(fault)) from fault


def _wait_until_applied(admin: AdminClient, bindings: Sequence[AclBinding]) -> None:
    any_: Any = None  # as the library says it, whose types leave it out
    theirs = AclBindingFilter(
        ResourceType.ANY,
        any_,
        ResourcePatternType.ANY,
        bindings[0].principal,
        any_,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    for attempt in stamina.retry_context(
        on=_NotAppliedYetError, attempts=None, timeout=_APPLIED_WITHIN, wait_initial=0.02, wait_max=0.5
    ):
        with attempt:
            applied = admin.describe_acls(theirs, request_timeout=_ANSWER_SECONDS).result(_ANSWER_SECONDS)
            if not set(bindings) <= set(applied):
                raise _NotAppliedYetError


def _binding(kafka: Kafka, principal: str, each: Grant) -> AclBinding:
    name = kafka.physical(each.name)
    pattern = ResourcePatternType.PREFIXED if each.prefixed and name else ResourcePatternType.LITERAL
    return AclBinding(
        ResourceType[each.kind.name],
        name or _EVERYTHING,
        pattern,
        principal,
        "*",  # from any address
        AclOperation[each.operation.name],
        AclPermissionType.ALLOW,
    )
