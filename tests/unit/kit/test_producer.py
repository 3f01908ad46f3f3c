"""What the relay's producer makes of answers that cannot be had from a broker at will."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, LeaderNotAvailableError, NotLeaderForPartitionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatch

from shared.kit.producer import PRODUCER_FAULTS, EndUnknownError, FencedProducer

TOPIC = "orders.events.v1"
HERE, THERE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 3)
FINE, NOT_LEADER, OLD_EPOCH, CONCURRENT, NOT_ATTEMPTED = 0, 6, 47, 51, 55
LOADING, NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16


class Brokers:
    """Two brokers, and what they answer; what they are not told to answer goes well."""

    def __init__(self) -> None:
        self.leaders: dict[TopicPartition, int | None] = {HERE: 1, THERE: 2}
        self.produced: list[tuple[int, TopicPartition, DefaultRecordBatch]] = []
        self.asked: list[str] = []
        #: the codes of a kind of request, one for each time that it is asked
        self.codes: dict[type, Iterator[Any]] = {}
        #: offsets that are told of partitions instead of their own, and partitions of which nothing is told
        self.ends: dict[int, int] = {}
        self.silent_about = set[int]()
        self.cluster = SimpleNamespace(leader_for_partition=self.leaders.get)
        self._topics = set[str]()
        self._conns: dict[Any, Any] = {}

    async def set_topics(self, topics: set[str]) -> None:
        self._topics = topics

    async def bootstrap(self) -> None:
        pass

    def get_random_node(self) -> int:
        return 1

    async def coordinator_lookup(self, kind: object, name: str) -> int:
        del kind, name
        return 2

    async def close(self) -> None:
        pass

    async def send(self, broker: int, request: Any, **_: Any) -> Any:
        self.asked.append(type(request).__name__)
        code: Any = next(self.codes.get(type(request), iter(())), FINE)
        match request:
            case InitProducerIdRequest():
                return SimpleNamespace(error_code=code, producer_id=7, producer_epoch=1)
            case AddPartitionsToTxnRequest():
                codes: dict[TopicPartition, int] = code or dict.fromkeys(self.leaders, FINE)
                return SimpleNamespace(errors=[(TOPIC, [(where.partition, each) for where, each in codes.items()])])
            case EndTxnRequest():
                return SimpleNamespace(error_code=code)
            case ProduceRequest():
                told = []
                for topic, batches in request._topics:
                    for partition, written in batches:
                        batch = DefaultRecordBatch(bytearray(written))
                        self.produced.append((broker, TopicPartition(topic, partition), batch))
                        told.append(
                            (partition, code, self.ends.get(partition, 100 * partition + batch.base_sequence), -1)
                        )
                told = [each for each in told if each[0] not in self.silent_about]
                return SimpleNamespace(topics=[(TOPIC, told)])
        raise AssertionError(request)


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    made = Brokers()
    monkeypatch.setattr("shared.kit.producer.AIOKafkaClient", lambda **_: made)
    return made


@pytest.fixture
async def producer(brokers: Brokers) -> FencedProducer:
    del brokers
    made = FencedProducer({}, "relay.0", 10_000)
    await made.start()
    return made


def fill(producer: FencedProducer, where: TopicPartition, messages: int, size: int = 10) -> None:
    for _ in range(messages):
        producer.send(where.topic, where.partition, "key", b"x" * size, {"ce_id": "1"})


async def test_each_leader_gets_its_share_and_the_batch_ends_behind_it_on_each_partition(
    producer: FencedProducer, brokers: Brokers
) -> None:
    for _ in range(2):
        producer.begin()
        fill(producer, HERE, 2)
        fill(producer, THERE, 3)
        await producer.delivered(seconds=5)
        ends = producer.ends()
        await producer.commit(seconds=5)

    assert [(broker, where) for broker, where, _ in brokers.produced] == [(1, HERE), (2, THERE)] * 2
    assert [batch.base_sequence for *_, batch in brokers.produced] == [0, 0, 2, 3]
    assert {(batch.producer_id, batch.producer_epoch, batch.is_transactional) for *_, batch in brokers.produced} == {
        (7, 1, True)
    }
    assert ends == {HERE: 2 + 2, THERE: 300 + 3 + 3}


async def test_what_is_more_than_a_batch_goes_in_the_next_one_and_keeps_its_order(
    producer: FencedProducer, brokers: Brokers
) -> None:
    producer.begin()
    fill(producer, HERE, 5, size=200_000)
    fill(producer, THERE, 1, size=900_000)
    await producer.delivered(seconds=5)

    assert [(where, batch.base_sequence, len(list(batch))) for _, where, batch in brokers.produced] == [
        (HERE, 0, 2),
        (THERE, 0, 1),
        (HERE, 2, 2),
        (HERE, 4, 1),
    ]
    assert producer.ends() == {HERE: 4 + 1, THERE: 300 + 1}


async def test_a_transaction_that_is_still_ending_is_waited_for(producer: FencedProducer, brokers: Brokers) -> None:
    brokers.codes = {
        AddPartitionsToTxnRequest: iter([{HERE: CONCURRENT, THERE: CONCURRENT}, {HERE: FINE, THERE: FINE}]),
        EndTxnRequest: iter([CONCURRENT, FINE]),
    }
    brokers.asked.clear()
    producer.begin()
    fill(producer, HERE, 1)
    await producer.delivered(seconds=5)
    await producer.commit(seconds=5)
    add, end = AddPartitionsToTxnRequest.__name__, EndTxnRequest.__name__
    assert brokers.asked == [add, add, ProduceRequest.__name__, end, end]


@pytest.mark.parametrize("code", [LOADING, NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT])
async def test_a_start_waits_for_the_coordinator_and_for_what_the_predecessor_left_open(
    brokers: Brokers, code: int
) -> None:
    brokers.codes = {InitProducerIdRequest: iter([code, code, FINE])}
    await FencedProducer({}, "relay.0", 10_000).start()
    assert brokers.asked == [InitProducerIdRequest.__name__] * 3


@pytest.mark.parametrize(
    ("kind", "codes", "fault"),
    [
        (AddPartitionsToTxnRequest, {HERE: NOT_ATTEMPTED, THERE: OLD_EPOCH}, InvalidProducerEpoch),
        (AddPartitionsToTxnRequest, {HERE: CONCURRENT, THERE: OLD_EPOCH}, InvalidProducerEpoch),
        (ProduceRequest, NOT_LEADER, NotLeaderForPartitionError),
        (EndTxnRequest, OLD_EPOCH, InvalidProducerEpoch),
    ],
)
async def test_any_refusal_fails_the_batch(
    producer: FencedProducer, brokers: Brokers, kind: type, codes: Any, fault: type[KafkaError]
) -> None:
    brokers.codes = {kind: iter([codes])}
    producer.begin()
    fill(producer, HERE, 1)
    with pytest.raises(fault) as caught:  # noqa: PT012 -- which of the steps fails is not the point
        await producer.delivered(seconds=5)
        await producer.commit(seconds=5)
    assert isinstance(caught.value, PRODUCER_FAULTS)


@pytest.mark.parametrize("leader", [None, -1])
async def test_a_partition_without_a_leader_fails_the_batch(
    producer: FencedProducer, brokers: Brokers, leader: int | None
) -> None:
    brokers.leaders[HERE] = leader
    producer.begin()
    fill(producer, HERE, 1)
    with pytest.raises(LeaderNotAvailableError):
        await producer.delivered(seconds=5)


async def test_a_batch_whose_end_kafka_does_not_tell_does_not_count_as_delivered(
    producer: FencedProducer, brokers: Brokers
) -> None:
    brokers.ends = {THERE.partition: -1}
    producer.begin()
    fill(producer, HERE, 1)
    fill(producer, THERE, 1)
    with pytest.raises(EndUnknownError) as caught:
        await producer.delivered(seconds=5)
    assert isinstance(caught.value, PRODUCER_FAULTS)


async def test_a_batch_of_which_a_partition_is_not_told_of_has_no_end(
    producer: FencedProducer, brokers: Brokers
) -> None:
    brokers.silent_about = {THERE.partition}
    producer.begin()
    fill(producer, HERE, 1)
    fill(producer, THERE, 1)
    with pytest.raises(EndUnknownError):
        producer.ends()
    await producer.delivered(seconds=5)
    with pytest.raises(EndUnknownError):
        producer.ends()


async def test_one_that_was_given_up_sends_nothing(producer: FencedProducer, brokers: Brokers) -> None:
    producer.begin()
    fill(producer, HERE, 1)
    await producer.close()
    await producer.close()
    with pytest.raises(PRODUCER_FAULTS):
        await producer.delivered(seconds=5)
    assert brokers.produced == []
