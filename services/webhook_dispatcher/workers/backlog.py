"""What waits to be delivered, asked when somebody wants to know, and not more often than every few seconds."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Metric

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.storage import Standing
from shared.kit.faults import INFRASTRUCTURE, is_infrastructure
from shared.kit.logs import get_logger
from shared.kit.unit_of_work import Database

from .measures import CIRCUITS, OPEN, OVERDUE_SECONDS

_FRESH_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 1.0

_log = get_logger("delivery")


class DeliveryBacklog:
    """What waits, and what it waits behind."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._asking = asyncio.Lock()
        self._ask_at = float("-inf")
        self._seen: Standing | None = None

    async def refresh(self) -> None:
        """Ask the database, if the last answer is too old."""
        async with self._asking:
            if self._clock() < self._ask_at:
                return
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    self._seen = await use_cases.standing_of_deliveries(self._database)
            except INFRASTRUCTURE as fault:
                if not is_infrastructure(fault):
                    _log.exception("what waits to be delivered cannot be counted")
                self._seen = None
            self._ask_at = self._clock() + _FRESH_SECONDS

    def collect(self) -> Iterable[Metric]:
        """What was seen last; nothing while it is not known."""
        seen = self._seen
        yield OPEN.told({} if seen is None else {(): seen.open})
        yield OVERDUE_SECONDS.told({} if seen is None else {(): seen.overdue_seconds})
        circuits = {} if seen is None else {("open",): seen.circuits_open, ("half_open",): seen.circuits_half_open}
        yield CIRCUITS.told({labels: float(count) for labels, count in circuits.items()})
