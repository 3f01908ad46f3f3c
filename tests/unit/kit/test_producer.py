"""The relay's producer tells where a batch ends, or fails: an end that is not known must not count as readable."""

from unittest.mock import Mock

import pytest
from aiokafka import TopicPartition

from shared.kit.producer import PRODUCER_FAULTS, EndUnknownError, FencedProducer

HERE, THERE = TopicPartition("orders.events.v1", 0), TopicPartition("orders.events.v1", 3)


@pytest.fixture
def librdkafka(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands for what sends: the answers that are looked at here cannot be had from a broker at will."""
    started = Mock()
    monkeypatch.setattr(FencedProducer, "_started", started)
    return started


def _delivered(librdkafka: Mock, offsets: dict[TopicPartition, int]) -> FencedProducer:
    """A producer whose batch of two messages to each partition stands there, the last ones at these offsets."""
    producer = FencedProducer({"transactional.id": "test"})
    producer.begin()
    for where in offsets:
        for last in (False, True):
            producer.send(where.topic, where.partition, "key", b"{}", {}, last=last)
    told = [call.kwargs["on_delivery"] for call in librdkafka.produce.call_args_list]
    assert [each is None for each in told] == [True, False] * len(offsets)
    for (where, offset), report in zip(offsets.items(), filter(None, told), strict=True):
        message = Mock()
        message.topic.return_value, message.partition.return_value = where
        message.offset.return_value = offset
        report(None, message)
    return producer


def test_a_batch_ends_one_past_its_last_message_on_each_partition(librdkafka: Mock) -> None:
    assert _delivered(librdkafka, {HERE: 7, THERE: 0}).ends() == {HERE: 8, THERE: 1}


@pytest.mark.parametrize("offset", [-1, -1001])
def test_a_batch_whose_end_kafka_does_not_tell_starts_over(librdkafka: Mock, offset: int) -> None:
    producer = _delivered(librdkafka, {HERE: 7, THERE: offset})
    with pytest.raises(EndUnknownError) as caught:
        producer.ends()
    assert isinstance(caught.value, PRODUCER_FAULTS)


def test_a_batch_of_which_nothing_is_told_yet_has_no_end(librdkafka: Mock) -> None:
    producer = FencedProducer({"transactional.id": "test"})
    producer.begin()
    producer.send(HERE.topic, HERE.partition, "key", b"{}", {}, last=True)
    assert librdkafka.produce.called
    with pytest.raises(EndUnknownError):
        producer.ends()
