"""Recording: what came of attempts is collected and written down, many in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Attempt, CircuitRule, Claimed, DeliveryBoundary, Schedule
from services.webhook_dispatcher.storage import Recorded
from shared.kit.boundaries import reached
from shared.kit.faults import INFRASTRUCTURE, is_infrastructure
from shared.kit.logs import get_logger, log_all
from shared.kit.unit_of_work import Database

from .measures import Sendings, Stops

_AT_ONCE = 500
#: seconds that a batch waits for more results: to write fifty costs little more than to write one
_FILLS_FOR = 0.003
_AFTER_FAULT = 0.2


@dataclass(frozen=True)
class Rules:
    """What follows from failed attempts."""

    schedule: Schedule
    circuit: CircuitRule = field(default_factory=CircuitRule)


#: an attempt's result; None where it was claimed and not dialled
Result = tuple[Claimed, Attempt | None]

_log = get_logger("delivery")


class Recorder:
    """Takes results and records them for as long as it takes; slots are freed only then, which bounds what waits."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        freed: Callable[[Claimed], None],
        sendings: Sendings,
        stops: Stops,
    ) -> None:
        self._sendings = sendings
        self._stops = stops
        self._database = database
        self._rules = rules
        self._freed = freed
        self._results: asyncio.Queue[Result] = asyncio.Queue()

    def add(self, claimed: Claimed, attempt: Attempt | None) -> None:
        """Note a result; never waits."""
        self._results.put_nowait((claimed, attempt))

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            batch = [await self._results.get()]
            if not batch[0][0].ordered:  # the next of its account waits for it
                await asyncio.sleep(_FILLS_FOR)
            while len(batch) < _AT_ONCE and not self._results.empty():
                batch.append(self._results.get_nowait())
            await self._settle(batch)
            self._sendings.note(batch)
            for claimed, _ in batch:
                self._freed(claimed)
                self._results.task_done()

    async def drained(self) -> None:
        """Return once everything that was added is recorded."""
        await self._results.join()

    async def _settle(self, batch: Sequence[Result]) -> None:
        while True:
            try:
                return await self._write(batch)
            except INFRASTRUCTURE as fault:
                _log.warning("outcomes not recorded", fault=repr(fault), outcomes=len(batch))
                if not is_infrastructure(fault):
                    return await self._singly(batch)
                # The leases may run out meanwhile; then nothing of this is written, and each is tried again.
                await asyncio.sleep(_AFTER_FAULT)

    async def _singly(self, batch: Sequence[Result]) -> None:
        """One result that cannot be written must not take its neighbours along; its own lease runs out."""
        if len(batch) > 1:
            for result in batch:
                await self._settle([result])
        else:
            _log.error("outcome dropped", delivery_id=str(batch[0][0].id))

    async def _write(self, batch: Sequence[Result]) -> None:
        undialled = [claimed for claimed, attempt in batch if attempt is None]
        await use_cases.give_back(self._database, undialled, self._stops.note)
        made = [(claimed, attempt) for claimed, attempt in batch if attempt is not None]
        if made:
            recorded = await use_cases.record_attempts(
                self._database, made, self._rules.schedule, self._rules.circuit, self._stops.note
            )
            reached(DeliveryBoundary.RECORDED)
            log_all("delivery", "attempt", [_told(each) for each in recorded])


def _told(recorded: Recorded) -> dict[str, object]:
    """The one wide line of an attempt."""
    claimed, attempt, step = recorded.claimed, recorded.attempt, recorded.step
    return {
        "delivery_id": claimed.id,
        "subscription_id": claimed.subscription_id,
        "client_id": claimed.client_id,
        "account_id": claimed.account_id,
        "type": claimed.webhook_type,
        "number": claimed.attempt,
        "outcome": attempt.outcome.value,
        "status": attempt.status,
        "error": attempt.error,
        "ms": round((attempt.finished_at - attempt.started_at).total_seconds() * 1000, 1),
        "then": step.state.value,
        "wait": round(step.wait, 1),
        **({"trace_id": attempt.trace_id} if attempt.trace_id else {}),
    }
