"""Subscriptions whose endpoints have failed for days are switched off: any replica may do it, at any time."""

import asyncio
from datetime import timedelta

from services.webhook_dispatcher import use_cases
from shared.kit.faults import INFRASTRUCTURE, is_infrastructure
from shared.kit.liveness import Beat
from shared.kit.logs import get_logger
from shared.kit.unit_of_work import Database

_EVERY = 30.0

_log = get_logger("disabling")


class Disabling:
    """Looks for what has failed for too long."""

    def __init__(self, database: Database, after: timedelta) -> None:
        self._database = database
        self._after = after

    async def run(self, beat: Beat) -> None:
        """Now and then, until cancelled."""
        while True:
            beat()
            try:
                disabled = await use_cases.disable_failing(self._database, self._after)
                if disabled:
                    _log.warning("subscriptions switched off that have failed for too long", subscriptions=disabled)
            except INFRASTRUCTURE as fault:
                if not is_infrastructure(fault):
                    raise
                _log.warning("put off", fault=repr(fault))
            await asyncio.sleep(_EVERY)
