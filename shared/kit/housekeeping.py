"""What must be done now and then so that nothing grows for ever: any replica may, at any time."""

import asyncio

import structlog
from sqlalchemy import text

from . import allowances, idempotency
from .faults import is_infrastructure
from .inbox import keep_partitions
from .liveness import Beat
from .unit_of_work import Database

#: In small bites, so that no transaction is long: a long one holds up the relay's cursor.
_FORGET_COMMANDS = text(
    """
    DELETE FROM command_inbox WHERE ctid IN (
        SELECT ctid FROM command_inbox WHERE received_at < now() - make_interval(days => 35) LIMIT 5000)
    """
)
_ENDED = text("UPDATE housekeeping SET ended_at = clock_timestamp()")

_EVERY = 3600.0
_BEAT_EVERY = 20.0

_log = structlog.get_logger("housekeeping")


class Housekeeping:
    """Makes and drops the inbox's partitions, and forgets commands and requests that nobody can repeat any more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, beat: Beat) -> None:
        """Once at the start and then every hour, until cancelled."""
        while True:
            try:
                await self.once()
            except Exception as fault:
                if not is_infrastructure(fault):
                    raise
                _log.warning("put off", fault=repr(fault))
            for _ in range(int(_EVERY / _BEAT_EVERY)):
                beat()
                await asyncio.sleep(_BEAT_EVERY)

    async def once(self) -> None:
        """Do all of it."""
        await keep_partitions(self._database)
        while await self._forget_commands():
            pass
        while await self._forget_answers():
            pass
        await allowances.forget_full(self._database)
        async with self._database.unit_of_work() as work:
            await work.connection.execute(_ENDED)

    async def _forget_commands(self) -> int:
        async with self._database.unit_of_work() as work:
            return (await work.connection.execute(_FORGET_COMMANDS)).rowcount

    async def _forget_answers(self) -> int:
        async with self._database.unit_of_work() as work:
            return await idempotency.forget_old(work.connection)
