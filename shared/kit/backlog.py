"""How much waits in the outbox, asked when somebody wants to know, and not more often than every few seconds."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Metric
from sqlalchemy import text

from .faults import INFRASTRUCTURE, is_infrastructure
from .logs import get_logger
from .metrics import OUTBOX_OLDEST, OUTBOX_ROWS
from .outbox import SHARDS
from .unit_of_work import Database

#: rows of a shard that are counted one by one
_COUNTED: Final = 2_500
_FRESH_SECONDS: Final = 5.0
_AFTER_FAULT_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 1.0

_log = get_logger("outbox")

#: In the order of the primary key, which serves it: the table's front may be full of rows that are deleted already.
#: Beyond what is counted it is PostgreSQL's own estimate, which is about a second old.
_WAITING: Final = text(
    """
    SELECT CASE WHEN bool_or(front.rows > :counted)
                THEN greatest(sum(front.rows), pg_stat_get_live_tuples('outbox'::regclass))
                ELSE sum(front.rows) END AS rows,
           coalesce(extract(epoch FROM clock_timestamp() - min(front.oldest)), 0) AS seconds
    FROM generate_series(0, :shards - 1) AS owned(shard),
         LATERAL (SELECT count(*) AS rows, min(created_at) AS oldest
                  FROM (SELECT created_at FROM outbox WHERE outbox.shard = owned.shard ORDER BY id
                        LIMIT :counted + 1) AS first) AS front
    """
)


@dataclass(frozen=True)
class Waiting:
    """What waits in an outbox: how many messages, and for how long the oldest of them has."""

    rows: int
    seconds: float


class Backlog:
    """What waits in the outbox of a service."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._asking = asyncio.Lock()
        self._ask_at = float("-inf")
        self._seen: Waiting | None = None

    async def refresh(self) -> None:
        """Ask the database, if the last answer is too old; one that does not answer is left alone for a while."""
        async with self._asking:
            if self._clock() < self._ask_at:
                return
            try:
                self._seen = await self._ask()
            except INFRASTRUCTURE as fault:
                if not is_infrastructure(fault):
                    _log.exception("the outbox cannot be counted")
                self._seen = None
            self._ask_at = self._clock() + (_AFTER_FAULT_SECONDS if self._seen is None else _FRESH_SECONDS)

    @property
    def waiting(self) -> Waiting | None:
        """What was seen last; None while it is not known."""
        return self._seen

    async def _ask(self) -> Waiting:
        async with asyncio.timeout(_ANSWER_SECONDS), self._database.reading() as connection:
            row = (await connection.execute(_WAITING, {"counted": _COUNTED, "shards": SHARDS})).one()
        return Waiting(int(row.rows), max(0.0, float(row.seconds)))

    def collect(self) -> Iterable[Metric]:
        """What was seen last; nothing while it is not known."""
        seen = self._seen
        yield OUTBOX_ROWS.told({} if seen is None else {(): float(seen.rows)})
        yield OUTBOX_OLDEST.told({} if seen is None else {(): seen.seconds})
