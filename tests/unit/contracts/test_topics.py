"""The table of topics says how Kafka is to keep each of them."""

from datetime import timedelta

import pytest

from shared.contracts import (
    ACCOUNTS_EVENTS,
    CONFIGURATIONS_EVENTS,
    MESSAGES,
    ORDERS_EVENTS,
    PORTFOLIOS_EVENTS,
    TOPICS,
    AccountState,
    Command,
    ConfigurationState,
    PortfolioState,
    StateEvent,
    Topic,
    parked_topic,
    redrive_topic,
    state_of,
)

WEEK = str(7 * 24 * 3600 * 1000)
MONTH = str(30 * 24 * 3600 * 1000)


def test_the_table_holds_every_shared_topic_once() -> None:
    assert sorted(topic.name for topic in TOPICS) == [
        "accounts.events.v1",
        "allocations.events.v1",
        "clients.events.v1",
        "commands.replies.v1",
        "configurations.commands.v1",
        "configurations.events.v1",
        "orders.commands.v1",
        "orders.events.v1",
        "portfolios.commands.v1",
        "portfolios.events.v1",
        "rebalancings.commands.v1",
        "rebalancings.events.v1",
        "subscriptions.events.v1",
    ]


def test_an_ordinary_topic_keeps_seven_days() -> None:
    assert ORDERS_EVENTS.config() == {
        "cleanup.policy": "delete",
        "retention.ms": WEEK,
        "max.message.bytes": "1048576",
    }


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic.compacted], ids=lambda topic: str(topic.name))
def test_a_state_topic_is_compacted_after_seven_days_and_loses_nothing_by_age(topic: Topic) -> None:
    config = topic.config()

    assert topic.retention is None
    assert config["cleanup.policy"] == "compact"
    assert config["retention.ms"] == "-1"
    assert config["min.compaction.lag.ms"] == WEEK


def test_the_compacted_topics_are_those_of_state() -> None:
    assert {topic.name.split(".")[0] for topic in TOPICS if topic.compacted} == {
        "accounts",
        "allocations",
        "clients",
        "configurations",
        "portfolios",
    }


def test_a_group_has_a_parked_and_a_redrive_topic_of_its_own() -> None:
    parked, redrive = parked_topic("order_service.copies"), redrive_topic("order_service.copies")

    assert parked.name == "order_service.copies.parked.v1"
    assert parked.config()["retention.ms"] == MONTH
    assert redrive.name == "order_service.copies.redrive.v1"
    assert redrive.config()["retention.ms"] == WEEK


@pytest.mark.parametrize("topic", [parked_topic("g"), redrive_topic("g")], ids=["parked", "redrive"])
def test_a_message_of_any_size_can_be_parked_with_headers_on_top(topic: Topic) -> None:
    assert int(topic.config()["max.message.bytes"]) == 4 * max(shared.max_message_bytes for shared in TOPICS)


def test_all_keyed_topics_have_the_same_number_of_partitions() -> None:
    assert {topic.partitions for topic in (*TOPICS, parked_topic("g"), redrive_topic("g"))} == {12}


def test_every_message_travels_on_a_topic_of_the_table() -> None:
    assert {message.topic for message in MESSAGES.values()} <= set(TOPICS)


def test_commands_and_events_do_not_share_a_topic() -> None:
    for message in MESSAGES.values():
        assert issubclass(message, Command) == (".commands." in message.topic.name)


def test_every_message_on_a_compacted_topic_carries_the_whole_state_of_that_topic() -> None:
    for message in MESSAGES.values():
        state = state_of(message.topic)
        assert (state is not None) == message.topic.compacted
        assert issubclass(message, StateEvent) == message.topic.compacted
        assert state is None or issubclass(message, state)


def test_a_compacted_topic_knows_its_state_by_object_and_by_name() -> None:
    assert state_of(ACCOUNTS_EVENTS) is AccountState
    assert state_of(CONFIGURATIONS_EVENTS.name) is ConfigurationState
    assert state_of(PORTFOLIOS_EVENTS) is PortfolioState
    assert state_of("orders.events.v1") is None
    assert [topic.name for topic in TOPICS if topic.compacted and state_of(topic) is None] == []


def test_state_is_kept_at_least_as_long_as_everything_that_may_wait_for_it() -> None:
    lag = CONFIGURATIONS_EVENTS.min_compaction_lag

    assert lag is not None
    assert lag >= timedelta(days=7)
