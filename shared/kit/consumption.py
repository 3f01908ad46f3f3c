"""What the consumers of one process measure: lag, batches, and what became of the messages."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from aiokafka import TopicPartition
from prometheus_client import Metric

from .consuming import Consumer
from .fate import Fate
from .lag import Progress
from .metrics import BATCH_RECORDS, BATCH_SECONDS, LAG_RECORDS, LAG_SECONDS, MESSAGES, PARKED, STOPPED_PARTITIONS

#: our counts, by the fates as they are told
_FATES: Final = {"done": "done", "refused": "refused", "retried": Fate.RETRY, "waited": Fate.WAIT}


class Client(Protocol):
    """A Kafka client that knows what it has handed out."""

    progress: Progress
    lost: dict[TopicPartition, str]
    blocked: dict[TopicPartition, str]


class Consumption:
    """Measures consumers; is asked by the process's metrics."""

    def __init__(self, logical: Callable[[str], str]) -> None:
        """`logical` gives the name of a topic in the contract."""
        self._logical = logical
        self._consumers: list[tuple[Consumer, Callable[[], Client | None]]] = []
        self._batch_records = BATCH_RECORDS.histogram()
        self._batch_seconds = BATCH_SECONDS.histogram()

    def add(self, consumer: Consumer, client: Callable[[], Client | None]) -> None:
        """Measure `consumer` too; `client` is None until it has one."""
        self._consumers.append((consumer, client))

    @contextmanager
    def batch(self, group: str, records: int) -> Iterator[None]:
        """Time a batch of `records`, whether it ends or fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._batch_records.labels(group).observe(records)
            self._batch_seconds.labels(group).observe(time.perf_counter() - began)

    def collect(self) -> Iterable[Metric]:
        """All of it, from memory."""
        yield from self._batch_records.collect()
        yield from self._batch_seconds.collect()
        yield from self._lags()
        yield STOPPED_PARTITIONS.told(
            {
                (group, reason): len(partitions)
                for group, client in self._clients()
                for reason, partitions in (("lost", client.lost), ("unpackable", client.blocked))
            }
        )
        yield MESSAGES.told(
            {
                (consumer.subscriber.group, fate): number
                for consumer, _ in self._consumers
                for fate, number in _fates_of(consumer).items()
            }
        )
        yield PARKED.told(
            {
                (consumer.subscriber.group, reason): number
                for consumer, _ in self._consumers
                for reason, number in consumer.parking.counts.items()
            }
        )

    def _lags(self) -> Iterator[Metric]:
        lags = {
            (group, self._logical(lag.partition.topic), str(lag.partition.partition)): lag
            for group, client in self._clients()
            for lag in client.progress.lags(client)
        }
        yield LAG_RECORDS.told({where: lag.records for where, lag in lags.items()})
        yield LAG_SECONDS.told({where: lag.seconds for where, lag in lags.items()})

    def _clients(self) -> Iterator[tuple[str, Client]]:
        for consumer, client_of in self._consumers:
            client = client_of()
            if client is not None:
                yield consumer.subscriber.group, client


def _fates_of(consumer: Consumer) -> dict[str, int]:
    fates = {fate: consumer.counts.get(counted, 0) for fate, counted in _FATES.items()}
    return {**fates, "parked": sum(consumer.parking.counts.values())}
