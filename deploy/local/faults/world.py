"""What all lives share: the clients, the bus, the ledger, chance, and what was read back so far."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import orjson
from aiokafka import ConsumerRecord

from deploy.local.faults.bus import Sender, follow
from deploy.local.faults.ledger import Ledger
from deploy.local.faults.upstream import Upstream
from shared.contracts import COMMANDS_REPLIES, CONFIGURATIONS_EVENTS, Command, Message, Record, record_of
from shared.kit.kafka import Kafka

#: the CloudEvents source of everything that the driver says
SOURCE = "/faults"
_LOOK = 0.05


class Pace:
    """Lets so many things happen in a second, on the average."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = time.monotonic()
        self._next = max(now, self._next + self._gap)
        await asyncio.sleep(self._next - now)


@dataclass
class World:
    """Shared by all lives."""

    kafka: Kafka
    sender: Sender
    ledger: Ledger
    upstreams: Sequence[Upstream]
    chance: random.Random
    pace: Pace
    #: no new lives begin, and those that are end early
    over: asyncio.Event = field(default_factory=asyncio.Event)
    #: client -> an allocation or two
    allocations: dict[str, list[str]] = field(default_factory=dict)
    _replies: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    #: account -> the newest version that is readable in Kafka, and whether it stands
    _readable: dict[str, tuple[int, bool]] = field(default_factory=dict)

    async def command(
        self,
        client: str,
        message: Command,
        *,
        copies: int = 1,
        **told: Any,  # noqa: ANN401 -- any JSON
    ) -> asyncio.Future[dict[str, Any]]:
        """Send a command; the future has its reply, with `accepted`."""
        op = str(uuid4())
        record = record_of(message, client_id=UUID(client), source=SOURCE, id=op)
        replied = self._replies[op] = asyncio.get_running_loop().create_future()
        kind = type(message).__name__
        self.ledger.write("asked", op=op, via="command", client=client, command=kind, copies=copies, **told)
        await self.sender.send(record, copies=copies)
        # It may have come, and be forgotten, while the copies were still being sent.
        return replied

    async def publish(
        self,
        client: str,
        event: Message,
        *,
        copies: int = 1,
        **told: Any,  # noqa: ANN401 -- any JSON
    ) -> None:
        """Put an event on its topic as an upstream service would; `told` describes it to the ledger."""
        event_id = str(uuid4())
        record = record_of(event, client_id=UUID(client), source=SOURCE, id=event_id)
        await self.sender.send(record, copies=copies)
        kind = type(event).__name__
        self.ledger.write("published", event=event_id, type=kind, topic=record.topic, client=client, **told)

    async def poison(self, topic: str, groups: Sequence[str]) -> None:
        """Put something on a topic that nobody can read."""
        name = f"poison {uuid4()}"
        self.ledger.write("poisoned", name=name, topic=topic, groups=list(groups))
        await self.sender.send(Record(topic=topic, key=name.encode(), value=name.encode(), headers=[]))

    async def until_readable(self, account: str, version: int, *, configured: bool) -> None:
        """Wait until this configuration of the account, or a newer one, can be read from Kafka."""
        while True:
            known, stands = self._readable.get(account, (0, False))
            if known > version or (known == version and stands is configured):
                return
            await asyncio.sleep(_LOOK)

    async def listen(self) -> None:
        """Read replies and configurations, until cancelled."""
        await follow(self.kafka, [COMMANDS_REPLIES.name, CONFIGURATIONS_EVENTS.name], self._taken)

    def _taken(self, record: ConsumerRecord[bytes, bytes]) -> None:
        try:
            body = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            return  # poison
        if self.kafka.logical(record.topic) == COMMANDS_REPLIES.name:
            self._answered(body)
        else:
            known, _ = self._readable.get(body["account_id"], (0, False))
            if body["version"] >= known:
                self._readable[body["account_id"]] = body["version"], body["configured"]

    def _answered(self, reply: dict[str, Any]) -> None:
        op = reply["command_id"]
        waiting = self._replies.pop(op, None)
        if waiting is None:
            return  # a copy
        accepted = "problem" not in reply
        reply["accepted"] = accepted
        resource = reply.get("resource") if accepted else reply["problem"]
        self.ledger.write("told", op=op, status="accepted" if accepted else "rejected", resource=resource)
        if not waiting.cancelled():
            waiting.set_result(reply)
