"""A service as one process: its roles, their start and their orderly end.

`api` serves HTTP, `consumers` take from Kafka, `workers` act on the clock (relay, housekeeping and the service's own).
One process runs all of them unless it is told which; the health routes are served whatever the roles are.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter

from shared.contracts import Topic, parked_topic

from . import inbox, quick_start, schema
from .allowances import Allowances, Limit
from .auth import RemoteKeys, Verifier
from .backlog import Backlog
from .bus import Bus
from .checks import broker_check, database_check, keys_check
from .consuming import Consumer
from .faults import INFRASTRUCTURE
from .grants import Grant, grant, grants_of
from .housekeeping import Housekeeping
from .http import Server, create_app
from .kafka import Kafka
from .liveness import Beat, Liveness, Readiness
from .loop_lag import LoopLag
from .metrics import Measured, Metrics
from .ops import ops_routes
from .outbox import Outbox
from .relay import Relay
from .sealing import SealedColumn
from .settings import KitSettings
from .subscriber import Subscriber
from .topics import TopicMissingError, check_partitions, ensure_topics
from .tracing import Tracer
from .unit_of_work import Database

#: runs until cancelled and calls the beat at least every few seconds
Worker = Callable[[Beat], Awaitable[None]]
Closer = Callable[[], Awaitable[None]]

#: how long a worker may go without a beat before it counts as hanging, in seconds
_WORKER_HANGS_AFTER = 60.0

#: what may pass by itself while a service starts
NOT_YET: tuple[type[Exception], ...] = (*INFRASTRUCTURE, TopicMissingError)

_log = structlog.get_logger("service")


class Role(StrEnum):
    """What a process does."""

    API = "api"
    CONSUMERS = "consumers"
    WORKERS = "workers"


@dataclass
class Service:
    """What a service consists of; built by its `app.py` and run by `run`."""

    #: the package name under `services`
    name: str
    settings: KitSettings
    database: Database
    kafka: Kafka
    routers: Sequence[APIRouter] = ()
    verifier: Verifier | None = None
    #: the issuer's keys, where they are somebody else's: kept fresh in every role, since the API may be the only one
    token_keys: Sequence[RemoteKeys] = ()
    subscribers: Sequence[Subscriber] = ()
    #: besides the relay and the housekeeping, which every service has
    workers: Mapping[str, Worker] = field(default_factory=dict)
    #: topics that it publishes to
    publishes: Sequence[Topic] = ()
    #: awaited before any role starts
    opens: Sequence[Closer] = ()
    #: awaited once all roles have ended
    closes: Sequence[Closer] = ()
    #: what routes find in `request.app.state`
    state: Mapping[str, Any] = field(default_factory=dict)
    liveness: Liveness = field(default_factory=Liveness)
    metrics: Metrics = field(default_factory=Metrics)
    #: what it keeps sealed
    sealed: Sequence[SealedColumn] = ()
    #: what its own parts measure; the kit's are added when it runs
    measured: Sequence[Measured] = ()
    #: records what it does where the settings say so; a service whose own parts need it brings it
    tracer: Tracer | None = None

    def __post_init__(self) -> None:
        self.tracer = self.tracer or self.settings.tracer_of(self.name)

    @property
    def package(self) -> str:
        """The Python package of the service."""
        return f"services.{self.name}"

    @property
    def served(self) -> list[APIRouter]:
        """Its routes, and those that ops ask of every service."""
        groups = [subscriber.group for subscriber in self.subscribers]
        return [*self.routers, ops_routes(Backlog(self.database), self.kafka, groups)]

    @property
    def topics(self) -> list[Topic]:
        """Every topic that this service touches, its groups' own included."""
        consumed = [topic for subscriber in self.subscribers for topic in subscriber.all_topics]
        parked = [parked_topic(subscriber.group) for subscriber in self.subscribers]
        return list({topic.name: topic for topic in [*self.publishes, *consumed, *parked]}.values())

    @property
    def grants(self) -> list[Grant]:
        """What it needs to be allowed on Kafka."""
        return grants_of(self.name, self.publishes, self.subscribers)


def plumbing(settings: KitSettings, name: str, *, planner: Mapping[str, str] | None = None) -> tuple[Database, Kafka]:
    """The database (see its `planner`) and Kafka as the service `name` sees them."""
    outbox = Outbox(source=f"/{name}", partitions=settings.partitions)
    url, size = settings.async_database_url, settings.pool_size
    database = Database(url, outbox, pool_size=size, application=name, planner=planner)
    return database, Kafka(settings.kafka, settings.topic_prefix, name, settings.kafka_security)


async def migrate(service: Service) -> list[str]:
    """The database schema first, then the topics and who may use them; answers the topics that were created."""
    await schema.migrate(service.settings.async_database_url, service.package)
    await inbox.keep_partitions(service.database)
    settings = service.settings
    created = await ensure_topics(
        service.kafka, service.topics, partitions=settings.partitions, replication=settings.replication
    )
    if settings.kafka_grant_to is not None:
        await grant(service.kafka, settings.kafka_grant_to, service.grants)
    return created


async def run(service: Service, roles: frozenset[Role]) -> None:
    """Run `roles` until SIGTERM or SIGINT; then stop taking, finish what is in hand, and close."""
    stop = _stop_requested()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(service.tracer or contextlib.nullcontext())
        stack.push_async_callback(service.database.close)
        for close in service.closes:
            stack.push_async_callback(close)
        for opened in service.opens:
            await opened()
        loops = {name: _started(service, name, loop) for name, loop in _loops_of_every_role(service).items()}
        stack.push_async_callback(_stop_workers, service, loops)
        # Ended in the opposite order: no more requests, no more batches, and the relay publishes until the last.
        if Role.WORKERS in roles:
            stack.push_async_callback(_stop_workers, service, _start_workers(service, roles))
        bus = Bus(service.kafka, service.liveness, session_seconds=service.settings.session_seconds)
        service.metrics.add(bus.consumption)
        stack.push_async_callback(bus.stop)
        starting = asyncio.create_task(_start_on_kafka(service, bus, roles))
        starting.add_done_callback(partial(_stop_on_failure, stop))
        stack.push_async_callback(_cancel, [starting])
        server, serving = _serve(service, roles, bus)
        stack.push_async_callback(_stop_server, service, server, serving)
        _log.info("running", roles=sorted(roles))
        quick_start.keep_what_is_there()
        await stop.wait()
        _log.info("stopping")
        if starting.done():
            starting.result()


def _loops_of_every_role(service: Service) -> dict[str, Worker]:
    loop_lag, backlog = LoopLag(), Backlog(service.database)
    service.metrics.ask_first(backlog.refresh)
    service.metrics.add(service.database, service.liveness, backlog, loop_lag, *service.measured)
    keys = {f"token keys {number}": keys.run for number, keys in enumerate(service.token_keys, 1)}
    return {"loop lag": loop_lag.run, **keys}


def _stop_requested() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _stop_on_failure(stop: asyncio.Event, starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and starting.exception() is not None:
        stop.set()


async def _start_on_kafka(service: Service, bus: Bus, roles: frozenset[Role]) -> None:
    """Check the topics and join the groups, however long Kafka or the topics take to be there."""
    if roles == {Role.API}:
        return None
    wanted = service.subscribers if Role.CONSUMERS in roles else ()
    for subscriber in wanted:
        if subscriber.group not in service.settings.without:
            bus.attach(Consumer(subscriber, service.database, service.kafka, service.tracer))
    while True:
        try:
            await _check_topics(service)
            return await bus.start()
        except NOT_YET as fault:
            bus.waits_for = str(fault) or repr(fault)
            _log.warning("consumers not started", fault=bus.waits_for)
            await asyncio.sleep(1)


async def _check_topics(service: Service) -> None:
    admin = service.kafka.admin()
    try:
        await admin.start()
        names = [service.kafka.physical(topic.name) for topic in service.topics]
        await check_partitions(admin, names, service.settings.partitions)
    finally:
        await admin.close()


def _start_workers(service: Service, roles: frozenset[Role]) -> dict[str, asyncio.Task[None]]:
    of_everything = roles == frozenset(Role)
    relay = Relay(service.database, service.kafka, service.name, tracer=service.tracer, of_everything=of_everything)
    service.metrics.add(relay)
    workers: dict[str, Worker] = {
        "relay": relay.run,
        "housekeeping": Housekeeping(service.database).run,
        **service.workers,
    }
    wanted = workers.keys() - service.settings.without
    return {name: _started(service, name, worker) for name, worker in workers.items() if name in wanted}


def _started(service: Service, name: str, worker: Worker) -> asyncio.Task[None]:
    beat = service.liveness.loop(name, hangs_after=_WORKER_HANGS_AFTER)
    task = asyncio.ensure_future(worker(beat))
    service.liveness.watch(name, task)
    return task


async def _stop_workers(service: Service, tasks: Mapping[str, asyncio.Task[None]]) -> None:
    for name in tasks:
        service.liveness.forget(name)
    await _cancel(list(tasks.values()))


def _serve(service: Service, roles: frozenset[Role], bus: Bus) -> tuple[Server, asyncio.Task[None]]:
    limit = Limit(service.settings.rate_limit, service.settings.rate_burst)
    app = create_app(
        title=service.name,
        version="1",
        routers=service.served if Role.API in roles else (),
        liveness=service.liveness,
        readiness=_readiness(service, roles, bus),
        verifier=service.verifier,
        allowances=Allowances(service.database, "client", limit),
        metrics=service.metrics,
        tracer=service.tracer,
        body_seconds=service.settings.body_seconds,
    )
    for name, value in service.state.items():
        setattr(app.state, name, value)
    server = Server(app, service.settings)
    task = asyncio.create_task(server.serve(), name="http")
    service.liveness.watch("http", task)
    return server, task


def _readiness(service: Service, roles: frozenset[Role], bus: Bus) -> Readiness:
    """What each role needs: a stopped broker must not take the API away (P9)."""
    readiness = Readiness()
    database, broker = database_check(service.database, service.package), broker_check(service.kafka)
    for role in sorted(roles):
        readiness.add(role, "database", database)
    if Role.API in roles and service.verifier is not None:
        readiness.add(Role.API, "token keys", keys_check(service.verifier))
    for role in roles & {Role.CONSUMERS, Role.WORKERS}:
        readiness.add(role, "broker", broker)
    if Role.CONSUMERS in roles:
        readiness.add(Role.CONSUMERS, "groups", bus.problem)
    return readiness


async def _stop_server(service: Service, server: Server, task: asyncio.Task[None]) -> None:
    service.liveness.forget("http")
    server.should_exit = True
    await asyncio.wait([task], timeout=10)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
