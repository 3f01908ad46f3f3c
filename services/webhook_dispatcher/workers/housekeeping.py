"""What keeps deliveries and attempts from growing for ever: any replica may do it, at any time."""

import asyncio

from services.webhook_dispatcher import use_cases
from shared.kit.faults import INFRASTRUCTURE, is_infrastructure
from shared.kit.liveness import Beat
from shared.kit.logs import get_logger
from shared.kit.secrets import SecretBox
from shared.kit.unit_of_work import Database

_EVERY = 3600.0
_BEAT_EVERY = 20.0

_log = get_logger("housekeeping")


class Retention:
    """Makes the partitions that will be needed, drops what is older than it is kept, and forgets former keys."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def run(self, beat: Beat) -> None:
        """Once at the start and then every hour, until cancelled."""
        while True:
            try:
                await use_cases.keep_deliveries(self._database)
                await use_cases.forget_former_keys(self._database, self._box)
            except INFRASTRUCTURE as fault:
                if not is_infrastructure(fault):
                    raise
                _log.warning("put off", fault=repr(fault))
            for _ in range(int(_EVERY / _BEAT_EVERY)):
                beat()
                await asyncio.sleep(_BEAT_EVERY)
