"""The delivery worker: claims what is due, sends it, has it recorded."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Attempt, Claimed, DeliveryBoundary, Outcome, Schedule
from services.webhook_dispatcher.use_cases import Endpoints
from shared.kit.boundaries import reached
from shared.kit.faults import INFRASTRUCTURE
from shared.kit.liveness import Beat
from shared.kit.logs import get_logger
from shared.kit.unit_of_work import Database

from .recording import Recorder
from .slots import Limits, Slots

#: A claim older than this when its turn comes belongs to a process that was asleep; the gate may have closed since.
DIAL_WITHIN = 1.0
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 1.0
_SLOWING_DOWN = 1.5
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
        schedule: Schedule,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._endpoints = endpoints
        self._limits = limits
        self._clock = clock
        self._slots = Slots(limits)
        self._recorder = Recorder(database, schedule, self._freed)
        self._news = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._release_at = 0.0

    def wake(self) -> None:
        """There is something to send, or will be with a commit that is about to happen."""
        self._news.set()

    async def run(self, beat: Beat) -> None:
        """Send until cancelled; then let what is under way end, within the grace, and give the rest back."""
        recording = asyncio.create_task(self._recorder.run(), name="delivery-recorder")
        try:
            await self._claim_forever(beat, recording)
        finally:
            await self._settle(recording)

    async def _claim_forever(self, beat: Beat, recording: "asyncio.Task[None]") -> None:
        pause = _FIRST_PAUSE
        while not recording.done():
            beat()
            try:
                await self._release_lost()
                claimed = await self._claim()
            except INFRASTRUCTURE as fault:
                _log.warning("nothing claimed", fault=repr(fault))
                await asyncio.sleep(_AFTER_FAULT)
                continue
            woken = bool(claimed) or await self._told_within(pause)
            # A wake-up may come just before the commit that it tells of: so look again soon after it.
            pause = _FIRST_PAUSE if woken else min(pause * _SLOWING_DOWN, _LONGEST_PAUSE)
        recording.result()

    async def _told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    async def _release_lost(self) -> None:
        if self._clock() < self._release_at:
            return
        self._release_at = self._clock() + self._limits.lease_seconds / _RELEASES_PER_LEASE
        lost = await use_cases.release_lost(self._database)
        if lost:
            _log.warning("attempts of a process that died are taken back", deliveries=lost)

    async def _claim(self) -> list[Claimed]:
        """Claim what fits and begin to send it; a stop in the midst of it gives back what was claimed."""
        capacity = self._slots.capacity
        if capacity.free <= 0:
            return []
        asked_at = self._clock()
        claiming = asyncio.ensure_future(use_cases.claim_due(self._database, capacity, self._limits.lease_seconds))
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await use_cases.give_back(self._database, await claiming)
            raise
        if claimed:
            reached(DeliveryBoundary.CLAIMED)
        for each in claimed:
            self._slots.take(each.subscription_id)
            task = asyncio.create_task(self._send(each, asked_at + DIAL_WITHIN))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return claimed

    async def _send(self, claimed: Claimed, dial_before: float) -> None:
        attempt: Attempt | None
        began = datetime.now(UTC)
        try:
            in_time = self._clock() < dial_before
            attempt = await use_cases.make_attempt(self._endpoints, claimed) if in_time else None
        except asyncio.CancelledError:
            attempt = Attempt(Outcome.INTERRUPTED, began, datetime.now(UTC))
        except Exception as fault:
            _log.exception("attempt failed on our side", delivery_id=str(claimed.id))
            attempt = Attempt(Outcome.NOT_SENT, began, datetime.now(UTC), error=type(fault).__name__)
        reached(DeliveryBoundary.SENT)
        self._recorder.add(claimed, attempt)

    def _freed(self, claimed: Claimed) -> None:
        self._slots.free(claimed.subscription_id)
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
