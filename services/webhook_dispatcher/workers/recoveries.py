"""Recoveries go on: every replica looks for one whose turn it is, and takes a step of it."""

import asyncio

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import RecoveryPace, Stopped, told_to_nobody
from shared.kit.faults import INFRASTRUCTURE, is_infrastructure
from shared.kit.liveness import Beat
from shared.kit.logs import get_logger
from shared.kit.unit_of_work import Database

_IDLE = 1.0
_AFTER_FAULT = 1.0

_log = get_logger("recoveries")


class Recoveries:
    """Sends again what recoveries ask for; any number of processes share the work."""

    def __init__(self, database: Database, pace: RecoveryPace, stopped: Stopped = told_to_nobody) -> None:
        self._database = database
        self._pace = pace
        self._stopped = stopped

    async def run(self, beat: Beat) -> None:
        """Until cancelled."""
        while True:
            beat()
            try:
                while await use_cases.go_on_recovering(self._database, self._pace, self._stopped):
                    beat()
            except INFRASTRUCTURE as fault:
                if not is_infrastructure(fault):
                    raise
                _log.warning("put off", fault=repr(fault))
                await asyncio.sleep(_AFTER_FAULT)
            await asyncio.sleep(_IDLE)
