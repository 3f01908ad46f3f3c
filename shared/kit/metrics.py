"""What a process measures, for Prometheus to fetch: each metric described once, and one registry for each process.

Whatever is measured is measured where it happens, by a part that can be asked for it (`Measured`); nothing is made at
import, and nothing is asked of Kafka when the metrics are fetched. No label ever holds the id of an account, a client
or a subscription: the number of series is bounded by routes, topics and partitions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

#: what `Metrics.text` is, as HTTP names it
TEXT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

#: a part that tells what it has measured: an instrument of the library, or anything with `collect`
Measured = Collector

#: what is awaited before the metrics are told; it bounds its own time and never raises
Refresh = Callable[[], Awaitable[None]]


class Kind(StrEnum):
    """How a metric behaves."""

    #: only grows, and begins anew with the process
    COUNTER = "counter"
    #: goes up and down
    GAUGE = "gauge"
    #: how often values fell into which range
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Measure:
    """One metric: its name as Prometheus knows it, and what it means."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str
    #: the upper ends of a histogram's ranges
    ranges: tuple[float, ...] = field(default=(), repr=False)

    def counter(self) -> Counter:
        """A counter to be counted with, in no registry yet."""
        return Counter(self.name, self.meaning, self.labels, registry=None)

    def histogram(self) -> Histogram:
        """A histogram to observe with, in no registry yet."""
        return Histogram(self.name, self.meaning, self.labels, buckets=self.ranges, registry=None)

    def told(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """Values that are known otherwise, by the values of the labels."""
        metric = Metric(self.name.removesuffix("_total"), self.meaning, self.kind.value)
        for labels, value in values.items():
            metric.add_sample(self.name, dict(zip(self.labels, labels, strict=True)), value)
        return metric


_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ANY_TIME: Final = (*_QUICK[1:], 10.0)

HTTP_REQUESTS: Final = Measure(
    "portfolio_bus_http_requests_total",
    Kind.COUNTER,
    ("method", "route", "status"),
    "requests",
    "HTTP requests by method (a name that is none is `other`), route template (`unmatched` where there is none) and "
    "class of the status (`2xx`; `none` where the caller left before it was answered).",
)
HTTP_SECONDS: Final = Measure(
    "portfolio_bus_http_request_seconds",
    Kind.HISTOGRAM,
    ("method", "route"),
    "seconds",
    "Time from a request's headers to the end of its answer.",
    _ANY_TIME,
)
LAG_RECORDS: Final = Measure(
    "portfolio_bus_consumer_lag_records",
    Kind.GAUGE,
    ("group", "topic", "partition"),
    "records",
    "Records that the group has not done, up to the end that a committed reader may see when the partition was last "
    "read; told by the process that owns the partition. Markers of transactions count as records until they are "
    "passed.",
)
LAG_SECONDS: Final = Measure(
    "portfolio_bus_consumer_lag_seconds",
    Kind.GAUGE,
    ("group", "topic", "partition"),
    "seconds",
    "Age of the oldest record that the group has not done, by the record's own timestamp; 0 when there is none.",
)
STOPPED_PARTITIONS: Final = Measure(
    "portfolio_bus_consumer_stopped_partitions",
    Kind.GAUGE,
    ("group", "reason"),
    "partitions",
    "Partitions that the group does not get past by itself: `lost`, records were deleted before they were read and the "
    "whole group waits; `unpackable`, the client cannot unpack the next record.",
)
BATCH_RECORDS: Final = Measure(
    "portfolio_bus_consumer_batch_records",
    Kind.HISTOGRAM,
    ("group",),
    "records",
    "Records in a batch; one that is taken again counts again.",
    (1, 2, 5, 10, 25, 50, 100, 250, 500),
)
BATCH_SECONDS: Final = Measure(
    "portfolio_bus_consumer_batch_seconds",
    Kind.HISTOGRAM,
    ("group",),
    "seconds",
    "Time that a batch took, waits for a barrier, retries and parking included.",
    (*_ANY_TIME, 30.0, 60.0),
)
MESSAGES: Final = Measure(
    "portfolio_bus_consumer_messages_total",
    Kind.COUNTER,
    ("group", "fate"),
    "messages",
    "What became of messages: `done`, repetitions and what is not for the group included; `refused`, commands "
    "answered by CommandRejected; `parked`; `retried`, attempts that failed and were repeated; `waited`, batches put "
    "off because the database or Kafka was away.",
)
PARKED: Final = Measure(
    "portfolio_bus_consumer_parked_total",
    Kind.COUNTER,
    ("group", "reason"),
    "messages",
    "Parked messages by the reason that stands in `parked-reason`.",
)
OUTBOX_ROWS: Final = Measure(
    "portfolio_bus_outbox_rows",
    Kind.GAUGE,
    (),
    "messages",
    "Messages that wait in the outbox: exact up to a few thousand, estimated by PostgreSQL's statistics beyond. The "
    "same in every process of a service: take the greatest. Missing while the database does not answer.",
)
OUTBOX_OLDEST: Final = Measure(
    "portfolio_bus_outbox_oldest_seconds",
    Kind.GAUGE,
    (),
    "seconds",
    "Age of the oldest message in the outbox, 0 when there is none; otherwise as the rows.",
)
RELAY_PUBLISHED: Final = Measure(
    "portfolio_bus_relay_published_total",
    Kind.COUNTER,
    ("topic",),
    "messages",
    "Messages of the outbox that this process has committed to Kafka.",
)
BARRIER_SECONDS: Final = Measure(
    "portfolio_bus_barrier_wait_seconds",
    Kind.HISTOGRAM,
    ("keeper", "outcome"),
    "seconds",
    "Waits until the copies kept by the group `keeper` were as new as Kafka: `passed`, `late` when they were not in "
    "time, `failed` when Kafka or the database did not answer.",
    _ANY_TIME,
)
POOL_IN_USE: Final = Measure(
    "portfolio_bus_database_pool_in_use",
    Kind.GAUGE,
    (),
    "connections",
    "Connections to the database that are in somebody's hands.",
)
POOL_SIZE: Final = Measure(
    "portfolio_bus_database_pool_size",
    Kind.GAUGE,
    (),
    "connections",
    "Connections to the database that the process may have.",
)
LOOP_LAG: Final = Measure(
    "portfolio_bus_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    (),
    "seconds",
    "How much later than asked for the event loop came back to a task, asked four times a second.",
    _QUICK,
)
LOOP_TURNED: Final = Measure(
    "portfolio_bus_loop_turned_seconds",
    Kind.GAUGE,
    ("loop",),
    "seconds",
    "How long ago each worker of the process, and each of its other loops, came round last.",
)

#: the library's own, of the operating system; only on Linux
PROCESS: Final = tuple(
    Measure(f"process_{name}", kind, (), unit, meaning)
    for name, kind, unit, meaning in (
        ("cpu_seconds_total", Kind.COUNTER, "seconds", "Processor time that the process has used."),
        ("max_fds", Kind.GAUGE, "files", "Files and sockets that the process may have open."),
        ("open_fds", Kind.GAUGE, "files", "Files and sockets that the process has open."),
        ("resident_memory_bytes", Kind.GAUGE, "bytes", "Memory of the process that is in use."),
        ("start_time_seconds", Kind.GAUGE, "seconds since 1970", "When the process was started."),
        ("virtual_memory_bytes", Kind.GAUGE, "bytes", "Addresses that the process has mapped."),
    )
)

#: everything that a process may tell
MEASURES: Final = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    LAG_RECORDS,
    LAG_SECONDS,
    STOPPED_PARTITIONS,
    BATCH_RECORDS,
    BATCH_SECONDS,
    MESSAGES,
    PARKED,
    OUTBOX_ROWS,
    OUTBOX_OLDEST,
    RELAY_PUBLISHED,
    BARRIER_SECONDS,
    POOL_IN_USE,
    POOL_SIZE,
    LOOP_LAG,
    LOOP_TURNED,
    *PROCESS,
)


class Metrics:
    """Everything that one process measures."""

    def __init__(self) -> None:
        # Describing itself, so that two parts with the same metric are refused at the start, not by Prometheus.
        self._registry = CollectorRegistry(auto_describe=True)
        self._refreshes: list[Refresh] = []
        ProcessCollector(registry=self._registry)

    def add(self, *measured: Measured) -> None:
        """Tell of these as well; raises ValueError if one of their metrics is told of already."""
        for each in measured:
            self._registry.register(each)

    def ask_first(self, refresh: Refresh) -> None:
        """Await `refresh` each time before the metrics are told."""
        self._refreshes.append(refresh)

    async def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        await asyncio.gather(*(refresh() for refresh in self._refreshes))
        return generate_latest(_Undated(self._registry))


class _Undated:
    """A registry without the times at which its series were made, which would double their number."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
