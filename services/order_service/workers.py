"""Clock in: makes and cancels the orders of rebalancing executions, a share at a time."""

import asyncio

from shared.kit.faults import INFRASTRUCTURE
from shared.kit.liveness import Beat
from shared.kit.logs import get_logger
from shared.kit.unit_of_work import Database

from . import use_cases

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 2.0
_SLOWING_DOWN = 1.5
_AFTER_FAULT = 0.5

_log = get_logger("rebalancing")


class RebalancingWorker:
    """One process's share of the work on executions; any number of them share it through the rows they lock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is something to do, or will be with a commit that is about to happen."""
        self._news.set()

    async def run(self, beat: Beat) -> None:
        """Work until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            beat()
            try:
                busy = await use_cases.work_on_next(self._database)
            except INFRASTRUCTURE as fault:
                _log.warning("nothing done", fault=repr(fault))
                await asyncio.sleep(_AFTER_FAULT)
                continue
            woken = busy or await self._told_within(pause)
            # A wake-up may come just before the commit that it tells of: so look again soon after it.
            pause = _FIRST_PAUSE if woken else min(pause * _SLOWING_DOWN, _LONGEST_PAUSE)

    async def _told_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True
