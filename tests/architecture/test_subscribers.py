"""Every subscriber that a service declares takes its messages at least once, and alone in its group."""

from collections import Counter
from importlib import import_module
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from cryptography.fernet import Fernet
from faststream import AckPolicy
from faststream.kafka.subscriber.usecase import BatchSubscriber

from deploy.local.services import service_names
from shared.kit.bus import Bus
from shared.kit.consuming import Consumer
from shared.kit.liveness import Liveness
from shared.kit.service import Service

_PREFIX = "test."
#: what FastStream hands to the client; its own defaults lose what failed and read what was rolled back
_AT_LEAST_ONCE = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
}


def _built(name: str) -> Service:
    settings = import_module(f"services.{name}.settings").Settings(
        database_url="postgresql://nobody@localhost/nothing",
        kafka="localhost:1",
        issuer_url="http://localhost:1",
        secret_keys=Fernet.generate_key().decode(),
        topic_prefix=_PREFIX,
    )
    service: Service = import_module(f"services.{name}.app").build(settings)
    return service


async def _attached(service: Service) -> list[BatchSubscriber]:
    """The service's subscribers as FastStream sees them; nothing is connected."""
    bus = Bus(service.kafka, Liveness())
    for subscriber in service.subscribers:
        bus.attach(Consumer(subscriber, service.database, service.kafka))
    found: list[Any] = [subscriber for _, subscriber in bus._attached]
    assert set(found) == set(bus._broker.subscribers)
    return found


@pytest.mark.parametrize("name", service_names())
async def test_subscribers_take_batches_at_least_once(name: str) -> None:
    for subscriber in await _attached(_built(name)):
        assert isinstance(subscriber, BatchSubscriber)
        assert subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
        assert subscriber._connection_args.items() >= _AT_LEAST_ONCE.items()


@pytest.mark.parametrize("name", service_names())
async def test_a_group_has_one_subscriber_and_bears_its_services_name(name: str) -> None:
    """Two in one process would divide the partitions between them, and each would miss the other's messages."""
    groups = Counter(subscriber.group_id for subscriber in await _attached(_built(name)))
    assert set(groups.values()) <= {1}
    assert all((group or "").startswith(f"{_PREFIX}{name}.") for group in groups)


@pytest.mark.parametrize("name", service_names())
async def test_a_group_hears_each_topic_once_and_its_own_redriven_messages(name: str) -> None:
    for subscriber in await _attached(_built(name)):
        topics = subscriber.topic_names_for_subscribe
        own = f"{subscriber.group_id}.redrive.v1"
        assert len(set(topics)) == len(topics)
        assert [topic for topic in topics if topic.endswith(".redrive.v1")] == [own]
        assert subscriber.pattern is None


@pytest.mark.parametrize("name", service_names())
def test_what_is_consumed_has_somebody_who_takes_it(name: str) -> None:
    for subscriber in _built(name).subscribers:
        assert subscriber.handlers or subscriber.command_handlers, subscriber.group


async def test_the_options_are_the_clients_own() -> None:
    """A misspelt or renamed option would be checked above and never reach the client."""
    assert _AT_LEAST_ONCE.keys() <= set(AIOKafkaConsumer.__init__.__code__.co_varnames)
