"""Who publishes: our relay, and Debezium's outbox event router, each with its own table and topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import psutil

from deploy.local.bench.backlog import Backlog
from deploy.local.bench.peers.captured import CapturedTable
from deploy.local.bench.peers.connect import Connect, kafka_connect
from deploy.local.bench.peers.debezium import Variant
from deploy.local.bench.programs import program
from deploy.local.stack import Stack
from shared.contracts import ORDERS_EVENTS


class Contestant(Protocol):
    """One that publishes what stands in an outbox."""

    @property
    def name(self) -> str:
        """As figures call it."""

    @property
    def writes_as(self) -> str:
        """What the program that writes single events calls its outbox."""

    @property
    def outbox(self) -> Backlog:
        """What it publishes, and where to."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """For the length of a block, what is written is for it."""

    def at_work(self) -> AbstractAsyncContextManager[psutil.Process]:
        """Within its turn, let it publish for the length of a block; answers the process that does."""


@dataclass(frozen=True)
class OurRelay:
    """The kit's relay, in a process that does nothing else; a new one each time that it is to work."""

    stack: Stack
    outbox: Backlog
    name: str = "our relay"
    writes_as: str = "ours"

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Its rows wait for it in any case."""
        yield

    def at_work(self) -> AbstractAsyncContextManager[psutil.Process]:
        """Run it."""
        kafka = self.outbox.kafka
        return program(self.stack, "relaying", self.outbox.dsn, kafka.bootstrap, kafka.prefix)


@dataclass(frozen=True)
class Debezium:
    """The outbox event router, in a JVM that stays, so that what is measured has been compiled by then."""

    outbox: CapturedTable
    connect: Connect
    name: str
    writes_as: str = "debezium"

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have a slot from now on, which it has never read of: what others wrote meanwhile is not for it to decode."""
        async with self.outbox.slot():
            try:
                yield
            finally:
                await self.connect.forget()

    def at_work(self) -> AbstractAsyncContextManager[psutil.Process]:
        """Let its connector run."""
        return self.connect.at_work()


@asynccontextmanager
async def started(stack: Stack, outbox: CapturedTable, variants: Sequence[Variant]) -> AsyncIterator[list[Debezium]]:
    """Each variant in a worker of its own, at rest."""
    topic = outbox.kafka.physical(ORDERS_EVENTS.name)
    async with AsyncExitStack() as running:
        yield [
            Debezium(
                outbox,
                await running.enter_async_context(kafka_connect(stack, outbox.dsn, topic, variant)),
                variant.name,
            )
            for variant in variants
        ]
