"""What metrics, logs and traces cost the relay and the dispatcher: one process with and without them, in turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

import aiohttp
import psutil

from deploy.local.bench.backlog import Backlog, backlog
from deploy.local.bench.bare import PATH
from deploy.local.bench.figures import Figure
from deploy.local.bench.reading import reached
from deploy.local.bench.subscribers import DISPATCHER, Subscriber, cpu_seconds, sink, subscriber
from deploy.local.demo.upstream import Upstream
from deploy.local.services import RunningSystem, ServiceProcess
from shared.kit.kafka import Kafka

#: what is done in one way before it is done in the other
ROWS, DELIVERIES = 100_000, 3_000
#: so often in each process, and how often with traces
_PAIRS, _TRACED = 16, 2
#: processes that are started for it, at least
_PROCESSES = 3
#: one trace in so many is recorded where there are traces
ONE_IN = 10

#: after the start, until imports and plans of statements are behind it
_WARM_UP = 1_000
_RELAYING = "order_service"
_LABEL = "order_service-relaying"
_PREFIX = "bench_overhead"
_DRAINED_WITHIN = 120.0


@dataclass(frozen=True)
class Way:
    """How a process works for a while."""

    measures: bool = True
    recorded_one_in: int = 0


USUAL, BARE, TRACED = Way(), Way(measures=False), Way(recorded_one_in=ONE_IN)


@dataclass(frozen=True)
class Stretch:
    """A number of messages or deliveries that were done in one way."""

    #: what came, and in what time from the first to the last
    came: float
    seconds: float
    #: what was done altogether, and the seconds of processor time that its process took for it
    done: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Its rate."""
        return self.came / self.seconds

    @property
    def cpu_for_one(self) -> float:
        """Processor time for each, in microseconds."""
        return self.cpu / self.done * 1_000_000


@dataclass(frozen=True)
class Ways:
    """The same in each of three ways."""

    #: one beside the other, a few seconds apart
    usual: list[Stretch]
    bare: list[Stretch]
    #: with metrics, logs and traces, in another process
    traced: list[Stretch]


Starts = Callable[[dict[str, str]], ServiceProcess]
Does = Callable[[ServiceProcess, Way], Awaitable[Stretch]]


async def overhead(system: RunningSystem, upstream: Upstream, kafka: Kafka, runs: int) -> list[Figure]:
    """Of the relay in a service of its own, then of the dispatcher."""
    processes = max(runs, _PROCESSES)
    async with sink(system) as collector:
        async with backlog(system.stack, _PREFIX) as outbox:
            starts, relays = partial(_relaying, system, outbox), partial(_relayed, outbox)
            relayed = [await _three_ways(starts, relays, collector) for _ in range(processes)]
            await asyncio.to_thread(system.services.pop(_LABEL).stop)
        try:
            async with subscriber(system, upstream, kafka) as receiving:
                starts, sends = partial(_dispatching, system), partial(_delivered, receiving)
                delivered = [await _three_ways(starts, sends, collector) for _ in range(processes)]
        finally:
            await asyncio.to_thread(_instead, system, DISPATCHER, lambda: system.start(DISPATCHER))
    return [
        *_figures("relay with metrics and logs, one process, from a backlog", "message", relayed),
        *_figures("deliveries with metrics and logs, one dispatcher", "delivery", delivered),
    ]


async def _three_ways(starts: Starts, does: Does, collector: str) -> Ways:
    """As usual and bare in turns in one process; with traces in the next, by the same module."""
    ways = Ways([], [], [])
    process = await asyncio.to_thread(starts, {})
    for number in range(_PAIRS):
        # The second of a pair is no better off than the first.
        for way, stretches in ((USUAL, ways.usual), (BARE, ways.bare))[:: 1 if number % 2 else -1]:
            await _ask(process, f"{PATH}/{'off' if way.measures else 'on'}")
            stretches.append(await does(process, way))
    traces = {"PORTFOLIO_BUS_TRACES_URL": collector, "PORTFOLIO_BUS_TRACES_RATIO": str(1 / ONE_IN)}
    process = await asyncio.to_thread(starts, traces)
    ways.traced.extend([await does(process, TRACED) for _ in range(_TRACED)])
    return ways


def _instead(system: RunningSystem, label: str, start: Callable[[], ServiceProcess]) -> ServiceProcess:
    if label in system.services:
        system.services[label].stop()
    process = start()
    process.wait_ready()
    return process


def _relaying(system: RunningSystem, outbox: Backlog, traces: dict[str, str]) -> ServiceProcess:
    """A whole service on a database and topics of its own."""
    environment = {
        "PORTFOLIO_BUS_DATABASE_URL": outbox.dsn,
        "PORTFOLIO_BUS_TOPIC_PREFIX": outbox.kafka.prefix,
        **traces,
    }
    module = "deploy.local.bench.bare"
    start = partial(system.start, _RELAYING, label=_LABEL, environment=environment, module=module, migrating=True)
    return _instead(system, _LABEL, start)


async def _relayed(outbox: Backlog, relaying: ServiceProcess, way: Way) -> Stretch:
    """Rows that are written all at once while the process is idle, from the first that can be read to the last.

    A whole backlog: of one in its middle nobody can tell how much of the batches under way is done, and they are a
    third of it.
    """
    processes = [psutil.Process(relaying.pid)]
    await outbox.fill(_WARM_UP)
    await _empty(outbox)
    before, cpu = await outbox.readable(), cpu_seconds(processes)
    await outbox.fill_traced(ROWS, way.recorded_one_in)
    first, began, _ = await reached(outbox, before + 1, processes)
    async with _fetched(relaying, way):
        last, ended, _ = await reached(outbox, before + ROWS, processes)
    await _empty(outbox)
    return Stretch(last - first, ended - began, ROWS, cpu_seconds(processes) - cpu)


async def _empty(outbox: Backlog) -> None:
    async with asyncio.timeout(_DRAINED_WITHIN):
        while await outbox.waiting():  # noqa: ASYNC110 -- the database tells nobody
            await asyncio.sleep(0.1)
    await outbox.clear()
    await outbox.pool.execute("CHECKPOINT")


def _dispatching(system: RunningSystem, traces: dict[str, str]) -> ServiceProcess:
    start = partial(system.start, DISPATCHER, environment=traces, module="deploy.local.bench.bare")
    return _instead(system, DISPATCHER, start)


async def _delivered(receiving: Subscriber, dispatching: ServiceProcess, way: Way) -> Stretch:
    """Events that are put on their topic as fast as Kafka takes them."""
    await receiving.publish(_WARM_UP)
    await receiving.came(_WARM_UP)
    processes = [psutil.Process(dispatching.pid)]
    cpu = cpu_seconds(processes)
    async with _fetched(dispatching, way):
        rate = await receiving.per_second(DELIVERIES)
    return Stretch(DELIVERIES, DELIVERIES / rate, DELIVERIES, cpu_seconds(processes) - cpu)


async def _ask(process: ServiceProcess, path: str) -> None:
    async with aiohttp.ClientSession(process.url) as session, session.get(path) as answer:
        answer.raise_for_status()


@asynccontextmanager
async def _fetched(process: ServiceProcess, way: Way) -> AsyncIterator[None]:
    """Have the metrics fetched once meanwhile, where there are any: Prometheus does it every fifteen seconds."""
    async with asyncio.TaskGroup() as tasks:
        if way.measures:
            tasks.create_task(_ask(process, "/metrics"))
        yield


def _figures(name: str, one: str, runs: Sequence[Ways]) -> list[Figure]:
    """The middle of each process: how far these lie apart tells how much the middle of them is worth."""
    traces = f"… with one trace in {ONE_IN} recorded as well"
    return [
        Figure(name, "/s", [median(each.per_second for each in run.usual) for run in runs]),
        Figure("… of the rate without metrics and logs (at least)", "%",
               [median(_rates(run.usual, run.bare)) for run in runs], limit=90, limit_is="promised"),
        Figure(f"… CPU for a {one}", "µs", [median(each.cpu_for_one for each in run.usual) for run in runs]),
        Figure("… of the CPU without metrics and logs", "%",
               [median(_times(run.usual, run.bare)) for run in runs], limit=110, limit_is="promised"),
        Figure(f"{traces}, of the rate without any", "%",
               [median(_rates(run.traced, [_middle(run.bare)] * _TRACED)) for run in runs]),
        Figure(f"{traces}, of the CPU without any", "%",
               [median(_times(run.traced, [_middle(run.bare)] * _TRACED)) for run in runs]),
    ]  # fmt: skip


def _middle(stretches: Sequence[Stretch]) -> Stretch:
    seconds = median(each.seconds / each.came for each in stretches)
    return Stretch(1.0, seconds, 1.0, median(each.cpu / each.done for each in stretches))


def _rates(ones: Sequence[Stretch], others: Sequence[Stretch]) -> list[float]:
    return [one.per_second / other.per_second * 100 for one, other in zip(ones, others, strict=True)]


def _times(ones: Sequence[Stretch], others: Sequence[Stretch]) -> list[float]:
    return [one.cpu_for_one / other.cpu_for_one * 100 for one, other in zip(ones, others, strict=True)]
