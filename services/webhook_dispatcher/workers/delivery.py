"""The delivery worker: claims what is due, sends it, has it recorded."""

import asyncio
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from uuid import UUID

from structlog.contextvars import bind_contextvars

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Attempt, Claimed, DeliveryBoundary, Outcome
from services.webhook_dispatcher.storage import Capacity, DriverConnection
from services.webhook_dispatcher.use_cases import Endpoints
from shared.kit.boundaries import reached
from shared.kit.faults import INFRASTRUCTURE
from shared.kit.liveness import Beat
from shared.kit.logs import get_logger
from shared.kit.timed_event import TimedEvent
from shared.kit.tracing import Span, Tracer
from shared.kit.unit_of_work import Database

from . import journeys
from .agenda import Agenda
from .measures import Sendings, Stops
from .recording import Recorder, Rules
from .slots import Limits, Slots

#: A claim older than this when its turn comes belongs to a process that was asleep; the gate may have closed since.
DIAL_WITHIN = 1.0
#: Between two looks at all subscriptions; what this process plans itself is not waited for. The longest is shorter than
#: the slack of a rate limit.
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
_SLOWING_DOWN = 1.5
_LOOKED_AT = 1000
#: A look that takes long, over many subscriptions or on a busy database, is followed by a pause so many times as long;
#: but not by one that somebody notices, where the process itself was asleep meanwhile.
_LOOKING_SHARE = 10
_LONGEST_BREAK = 2.0
#: subscriptions in one claim
_ASKED = 250
_AFTER_FAULT = 0.5
_RELEASES_PER_LEASE = 6

_log = get_logger("delivery")


class DeliveryWorker:
    """One process's share of the sending; any number of them share the work through the leases."""

    def __init__(
        self,
        database: Database,
        endpoints: Endpoints,
        limits: Limits,
        rules: Rules,
        clock: Callable[[], float] = time.monotonic,
        tracer: Tracer | None = None,
    ) -> None:
        self._database = database
        self._endpoints = endpoints
        self._limits = limits
        self._clock = clock
        self._tracer = tracer
        self._slots = Slots(limits, clock)
        #: what this process measures of its attempts
        self.sendings = Sendings()
        #: what it measures of the gate, also where the gate stops something outside of this worker
        self.stops = Stops()
        self._recorder = Recorder(database, rules, self._freed, self.sendings, self.stops)
        self._agenda = Agenda()
        self._news = TimedEvent()
        self._sending: set[asyncio.Task[None]] = set()
        self._release_at = 0.0
        self._look_at = 0.0
        self._looked_to: UUID | None = None
        self._pause = _FIRST_PAUSE

    def wake(self, subscriptions: Collection[UUID]) -> None:
        """There is something to send for these."""
        self._agenda.add(subscriptions)
        self._news.set()

    async def run(self, beat: Beat) -> None:
        """Send until cancelled; then let what is under way end, within the grace, and give the rest back."""
        recording = asyncio.create_task(self._recorder.run(), name="delivery-recorder")
        try:
            await self._claim_forever(beat, recording)
        finally:
            await self._settle(recording)

    async def _claim_forever(self, beat: Beat, recording: "asyncio.Task[None]") -> None:
        while not recording.done():
            beat()
            try:
                # Held all the time: taking it from the pool for every look costs more than the look.
                async with self._database.driver_connection() as connection:
                    await self._claim_while_all_is_well(connection, beat, recording)
            except INFRASTRUCTURE as fault:
                _log.warning("nothing claimed", fault=repr(fault))
                await asyncio.sleep(_AFTER_FAULT)
        recording.result()

    async def _claim_while_all_is_well(
        self, connection: DriverConnection, beat: Beat, recording: "asyncio.Task[None]"
    ) -> None:
        while not recording.done():
            beat()
            await self._release_lost()
            await self._look(connection)
            if not await self._claim():
                await self._news.wait(max(self._look_at - self._clock(), 0))
                self._news.clear()

    async def _look(self, connection: DriverConnection) -> None:
        """Find what nobody has told of: planned elsewhere, due again, or let go by a circuit or a rate limit."""
        if self._clock() < self._look_at:
            return
        began = self._clock()
        looked = await use_cases.look_for_due(connection, self._looked_to, _LOOKED_AT)
        self._looked_to = looked.last
        due = [each for each in looked.due if self._slots.has_room(each)]
        self._agenda.add(due)
        self._pause = _FIRST_PAUSE if due else min(self._pause * _SLOWING_DOWN, _LONGEST_PAUSE)
        now = self._clock()
        self._look_at = now + max(self._pause, min(_LOOKING_SHARE * (now - began), _LONGEST_BREAK))

    async def _release_lost(self) -> None:
        if self._clock() < self._release_at:
            return
        self._release_at = self._clock() + self._limits.lease_seconds / _RELEASES_PER_LEASE
        lost = await use_cases.release_lost(self._database, self.stops.note)
        if lost:
            _log.warning("attempts of a process that died are taken back", deliveries=lost)

    async def _claim(self) -> bool:
        """Claim what fits and begin to send it; answers whether there may be more to claim at once."""
        self._slots.move_over()
        capacity = self._slots.capacity
        if capacity.free <= 0 and capacity.free_for_slow <= 0:
            return False
        asked = self._agenda.take(_ASKED, self._slots.has_room)
        if not asked:
            return False
        asked_at = self._clock()
        claimed = await self._claimed_of(asked, capacity)
        if claimed:
            reached(DeliveryBoundary.CLAIMED)
        for each in claimed:
            self._slots.take(each)
            task = asyncio.create_task(self._send(each, asked_at + DIAL_WITHIN))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        too_few = sum(each.quick for each in claimed) >= capacity.free
        if too_few:
            self._agenda.add(asked)
        return bool(claimed) or (not too_few and len(self._agenda) > 0)

    async def _claimed_of(self, asked: Collection[UUID], capacity: Capacity) -> list[Claimed]:
        """Claim; a stop in the midst of it gives back what was claimed."""
        lease = self._limits.lease_seconds
        claiming = asyncio.ensure_future(use_cases.claim_due(self._database, capacity, lease, asked, self.stops.note))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await use_cases.give_back(self._database, await claiming, self.stops.note)
            raise
        except INFRASTRUCTURE:
            self._agenda.add(asked)
            raise

    async def _send(self, claimed: Claimed, dial_before: float) -> None:
        attempt: Attempt | None
        span: Span | None = None
        began = datetime.now(UTC)
        try:
            in_time = self._clock() < dial_before
            if in_time and self._tracer is not None:
                span = journeys.begun(self._tracer, claimed)
                bind_contextvars(**span.log_fields())  # of this task alone
            traceparent = span.traceparent if span else None
            attempt = await use_cases.make_attempt(self._endpoints, claimed, traceparent) if in_time else None
        except asyncio.CancelledError:
            attempt = Attempt(Outcome.INTERRUPTED, began, datetime.now(UTC))
        except Exception as fault:
            _log.exception("attempt failed on our side", delivery_id=str(claimed.id))
            attempt = Attempt(Outcome.NOT_SENT, began, datetime.now(UTC), error=type(fault).__name__)
        if span is not None and attempt is not None:
            attempt = journeys.ended(span, attempt)
        reached(DeliveryBoundary.SENT)
        self._recorder.add(claimed, attempt)

    def _freed(self, claimed: Claimed) -> None:
        held_others_up = claimed.ordered or not self._slots.has_room(claimed.subscription_id)
        self._slots.free(claimed)
        if held_others_up:
            self._agenda.add([claimed.subscription_id])
        if self._agenda:
            self._news.set()

    async def _settle(self, recording: "asyncio.Task[None]") -> None:
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._limits.grace)
        interrupted = list(self._sending)
        for task in interrupted:
            task.cancel()
        await asyncio.gather(*interrupted, return_exceptions=True)
        drained = asyncio.ensure_future(self._recorder.drained())
        await asyncio.wait([drained, recording], timeout=2.0, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        recording.cancel()
        await asyncio.gather(drained, recording, return_exceptions=True)
