"""How a batch is taken: read, decided on in one transaction, and each failure brought to its fate.

The offsets are committed by FastStream when `take` returns; when it raises, every partition of the batch is rewound.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from structlog.contextvars import bound_contextvars

from shared.contracts import Command, StateEvent

from . import inbox
from .boundaries import Boundary, reached
from .commands import answer_all
from .fate import Fate, delay_after, fate_of
from .faults import INFRASTRUCTURE
from .hops import Handled
from .kafka import Kafka
from .parking import Parked, Parking
from .projections import Positions, SetBackError, advance, applied
from .received import BadCommand, LostKey, Origin, Received, Taken, UnreadableRecord, read
from .refusals import Refused
from .subscriber import Subscriber
from .tracing import Tracer, log_fields
from .unit_of_work import Database, UnitOfWork

_log = structlog.get_logger("consumer")

#: after this long a batch is patient with no more messages: it must end well before the group gives up on us
_BATCH_SECONDS = 60.0
#: how often a group that has nothing to do looks whether its database was set back, in seconds
_LOOKS_EVERY = 5.0

Records = Sequence["ConsumerRecord[bytes, bytes]"]


class NotNowError(Exception):
    """The batch is to be taken again later; nothing of it may be committed."""


class Consumer:
    """Takes the batches of one subscriber."""

    def __init__(self, subscriber: Subscriber, database: Database, kafka: Kafka, tracer: Tracer | None = None) -> None:
        self.subscriber = subscriber
        self.database = database
        self.kafka = kafka
        self.parking = Parking(kafka, subscriber.group)
        #: how often each fate was met, by its name
        self.counts: dict[str, int] = {}
        self._parked_in_hand: set[Origin] = set()
        self._refused_in_hand = 0
        self._tracer = tracer
        #: the spans of the batch in hand, where it has any
        self._handled: Handled | None = None
        #: what this process has seen stored of how far the group has come
        self._stored: dict[tuple[str, int], int] = {}
        self._looked_at = 0.0

    async def take(self, records: Records, positions: Positions) -> None:
        """Take `records`; `positions` are the consumer's own after them."""
        reached(Boundary.BATCH_READ)
        self._refused_in_hand = 0
        batch = [self._read(record) for record in records]
        if self._tracer is None:
            await self._take(batch, positions)
        else:
            await self._take_traced(self._tracer, batch, positions)
        reached(Boundary.BATCH_DONE)

    async def _take_traced(self, tracer: Tracer, batch: Sequence[Taken], positions: Positions) -> None:
        with Handled(tracer, self.subscriber.group) as handled:
            self._handled = handled
            traced = [handled.begin(item) for item in batch]
            with bound_contextvars(**handled.log_fields()):
                await self._take(traced, positions)

    async def _take(self, batch: Sequence[Taken], positions: Positions) -> None:
        try:
            await self._apply(batch, positions)
        except SetBackError:
            raise
        except Exception as fault:
            await self._after(fault, batch, positions)
        # Last, so that a batch that waits and is taken again does not park them each time.
        await self._park_unreadable(batch)
        self._count("refused", self._refused_in_hand)
        self._count("done", len(batch) - self._refused_in_hand - len(self._parked_in_hand))
        self._parked_in_hand.clear()

    async def applied(self) -> Positions:
        """How far the group has come, as its database says; from here on less than that means that it was set back."""
        async with self.database.reading() as connection:
            self._stored = await applied(connection, self.subscriber.group)
        return dict(self._stored)

    async def idle(self, positions: Positions) -> None:
        """Nothing came: store positions that moved over markers alone, so that no barrier waits for them.

        Every few seconds it only looks whether the database still has what it had; raises SetBackError.
        """
        moved = {where: at for where, at in positions.items() if self._stored.get(where, 0) < at}
        if not moved and time.monotonic() < self._looked_at + _LOOKS_EVERY:
            return
        try:
            async with self.database.unit_of_work() as work:
                await advance(work.connection, self.subscriber.group, moved, self._stored)
        except INFRASTRUCTURE:
            return  # it is tried again with the next idle turn
        self._stored.update(moved)
        self._looked_at = time.monotonic()

    def _read(self, record: "ConsumerRecord[bytes, bytes]") -> Taken:
        taken = read(record, self.kafka.logical(record.topic), keeps_copies=self.subscriber.keeps_copies)
        # Copies are applied by revision, and commands are known by their id alone: neither needs a time.
        if self.subscriber.keeps_copies or not isinstance(taken, Received) or _is_command(taken):
            return taken
        time, now = taken.envelope.time, datetime.now(UTC)
        if inbox.from_the_future(time, now):
            return UnreadableRecord(record, taken.origin, "from_the_future", f"its time is {time.isoformat()}")
        if inbox.too_old(time, now) and not isinstance(taken.body, StateEvent):
            return UnreadableRecord(record, taken.origin, "too_old", f"its time is {time.isoformat()}")
        return taken

    async def _park_unreadable(self, batch: Sequence[Taken]) -> None:
        for item in batch:
            if isinstance(item, UnreadableRecord):
                await self._park(item, item.reason, item.detail, attempts=1)

    async def _apply(
        self, batch: Sequence[Taken], positions: Positions, *, whole: Sequence[Taken] | None = None
    ) -> None:
        """Do `batch` in one transaction; what cannot be read is looked for in `whole`, where that is more."""
        understood = [item for item in batch if isinstance(item, Received)]
        commands = [item for item in batch if not isinstance(item, UnreadableRecord) and _is_command(item)]
        # Most groups take no commands: all that was understood are events then.
        events = [item for item in understood if not _is_command(item)] if commands else understood
        await self.subscriber.before(understood)
        refused_events: list[tuple[Received[Any], Refused]] = []
        async with self.database.unit_of_work() as work:
            await self.subscriber.locks(work, understood)
            fresh = await self._fresh(work, events)
            reached(Boundary.INBOX_WRITTEN)
            refused = await answer_all(work, self.subscriber, commands)
            for turn in self.subscriber.in_turns(fresh):
                refused_events += await turn.handler(work, turn.messages) or ()
            if refused_events:
                await inbox.forget(work.connection, self.subscriber.group, [event for event, _ in refused_events])
            await self._shut(work, whole or batch)
            known = {where: self._stored[where] for where in positions if where in self._stored}
            await advance(work.connection, self.subscriber.group, positions, known)
        self._refused_in_hand += refused
        self._stored.update(positions)
        # Behind the commit, which nothing of theirs is in: a process that dies here meets them again.
        for event, refusal in refused_events:
            self._count(Fate.PARK, 1)
            with bound_contextvars(**self._log_fields(event)):
                await self._park(event, "refused", _why(refusal), attempts=1)

    async def _fresh(self, work: UnitOfWork, events: Sequence[Received[Any]]) -> Sequence[Received[Any]]:
        # Copies are applied by revision, which turns away copies of messages of any age.
        if self.subscriber.keeps_copies:
            return events
        now = datetime.now(UTC)
        # State that is older than the inbox comes from a rebuild: it announces nothing new.
        within = [each for each in events if not inbox.too_old(each.envelope.time, now)]
        return await inbox.first_time(work.connection, self.subscriber.group, within)

    async def _shut(self, work: UnitOfWork, batch: Sequence[Taken]) -> None:
        # A newer record of the same key, further on in this batch, has already made up for an unreadable one.
        newest = {(item.origin.topic, item.record.key): n for n, item in enumerate(batch) if isinstance(item, Received)}
        lost = [
            item
            for n, item in enumerate(batch)
            if isinstance(item, UnreadableRecord)
            and item.key
            and newest.get((item.origin.topic, item.record.key), -1) < n
        ]
        keys = [LostKey.of(item.key, item.origin, item.reason) for item in lost if item.key]
        if keys and self.subscriber.quarantine is not None:
            await self.subscriber.quarantine(work, keys)

    async def _after(self, fault: Exception, batch: Sequence[Taken], positions: Positions) -> None:
        """The batch failed: take its messages one by one, so that a bad one does not take its neighbours along."""
        if fate_of(fault, attempts=1, patience=self.subscriber.patience, may_park=True) is Fate.WAIT:
            self._count(Fate.WAIT, 1)
            await self._not_now(fault)
        _log.warning("batch failed, taking its messages singly", group=self.subscriber.group, exc_info=fault)
        hurry_from = time.monotonic() + _BATCH_SECONDS
        for item in batch:
            if not isinstance(item, UnreadableRecord):
                with bound_contextvars(**self._log_fields(item)):
                    await self._take_one(item, hurry_from)
        await self._apply([], positions, whole=batch)

    def _log_fields(self, item: Received[Any] | BadCommand) -> dict[str, str]:
        return {} if self._tracer is None else log_fields(item.envelope.traceparent)

    async def _take_one(self, item: Received[Any] | BadCommand, hurry_from: float) -> None:
        attempts = 0
        while True:
            try:
                return await self._apply([item], {})
            except Exception as fault:
                attempts += 1
                patience = self.subscriber.patience if time.monotonic() < hurry_from else 1
                if await self._settled(item, fault, attempts, patience):
                    return None

    async def _settled(self, item: Received[Any] | BadCommand, fault: Exception, attempts: int, patience: int) -> bool:
        fate = fate_of(fault, attempts=attempts, patience=patience, may_park=not self.subscriber.keeps_copies)
        self._count(fate, 1)
        if fate is Fate.WAIT:
            await self._not_now(fault)
        if fate is Fate.PARK:
            reason = "refused" if isinstance(fault, Refused) else "out_of_patience"
            await self._park(item, reason, _why(fault), attempts)
            return True
        await asyncio.sleep(delay_after(attempts))
        return False

    async def _not_now(self, fault: Exception) -> None:
        _log.warning("batch waits", group=self.subscriber.group, fault=repr(fault))
        await asyncio.sleep(delay_after(4))
        raise NotNowError(self.subscriber.group) from fault

    async def _park(self, item: Taken, reason: str, detail: str, attempts: int) -> None:
        if item.origin in self._parked_in_hand:
            return  # the batch waited after it, and was taken again
        await self.parking.park(item.record, Parked(item.origin, reason, detail, attempts))
        self._parked_in_hand.add(item.origin)
        if self._handled is not None:
            self._handled.fail(item.origin, reason)
        reached(Boundary.PARKED)
        self._count(f"parked: {reason}", 1)

    def _count(self, fate: str, messages: int) -> None:
        self.counts[fate] = self.counts.get(fate, 0) + messages


def _is_command(item: Taken) -> bool:
    return isinstance(item, BadCommand) or (isinstance(item, Received) and isinstance(item.body, Command))


def _why(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"
