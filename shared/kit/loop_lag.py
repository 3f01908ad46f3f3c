"""Whether the event loop comes round in time: what holds it up holds up everything."""

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from prometheus_client import Metric

from .liveness import Beat
from .metrics import LOOP_LAG

_EVERY: Final = 1.0


class LoopLag:
    """Measures how late the loop wakes a task that asked to be woken."""

    def __init__(self) -> None:
        self._lag = LOOP_LAG.histogram()

    async def run(self, beat: Beat) -> None:
        """Until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_EVERY)
            self._lag.observe(max(0.0, time.perf_counter() - began - _EVERY))
            beat()

    def collect(self) -> Iterable[Metric]:
        """The lags so far."""
        return self._lag.collect()
