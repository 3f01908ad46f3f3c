"""One transaction per request, message or batch: state, outbox and inbox together (P1).

Nothing else in the project commits. Events are collected while the use case runs and written in one statement just
before the commit: by then the rows of their keys are locked, so that two transactions of one key cannot draw outbox
ids in one order and commit in the other (P2).
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import asyncpg
from prometheus_client import Metric
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from shared.contracts import Message

from .boundaries import Boundary, reached
from .cause import Cause
from .metrics import POOL_IN_USE, POOL_SIZE
from .outbox import Companion, Outbox, OutboxSignal, Pending

#: ends a transaction whose process hangs while it holds locks; the relay's cursor waits for it meanwhile
_IDLE_IN_TRANSACTION_MS = "30000"
_STATEMENT_MS = "60000"


class UnitOfWork:
    """An open transaction with the events that it will announce."""

    def __init__(self, connection: AsyncConnection, cause: Cause | None, outbox: Outbox) -> None:
        #: the connection whose transaction this is; nobody but the kit commits it
        self.connection = connection
        self.outbox = outbox
        self._cause = cause
        self._pending: list[Pending] = []
        self._companion: Companion | None = None
        self._shards: set[int] = set()
        self._afterwards: list[Callable[[], None]] = []

    @property
    def cause(self) -> Cause:
        """Who and what this work is done for; a batch has a cause per message instead."""
        if self._cause is None:
            msg = "a batch has no single cause: name the message's own"
            raise LookupError(msg)
        return self._cause

    def publish(self, *messages: Message, cause: Cause | None = None, message_id: str | None = None) -> None:
        """Announce `messages` with this transaction's commit, in the order of the calls."""
        because = cause or self.cause
        self._pending.extend(Pending(message, because, message_id) for message in messages)

    def accompany(self, companion: Companion) -> None:
        """Write this row with the events, last of all; its exception comes from there. There may be one."""
        self._companion = companion

    def wakes(self, shards: Iterable[int]) -> None:
        """Tell that a statement of the caller's own has written outbox rows of these shards."""
        self._shards.update(shards)

    def once_committed(self, call: Callable[[], None]) -> None:
        """Call this when the transaction is committed: what it tells of can be seen by then. It must not raise."""
        self._afterwards.append(call)

    def tell_committed(self) -> None:
        """The transaction is committed."""
        for call in self._afterwards:
            call()

    def rewinds_to(self, mark: int) -> None:
        """Forget what was announced after `mark` (a savepoint was rolled back)."""
        del self._pending[mark:]

    @property
    def mark(self) -> int:
        """How many messages are announced so far."""
        return len(self._pending)

    async def flush(self) -> set[int]:
        """Write the announced messages to the outbox; answers the shards that have news."""
        reached(Boundary.EFFECT_WRITTEN)
        if self._pending or self._companion is not None:
            self._shards |= await self.outbox.write(self.connection, self._pending, self._companion)
            self._pending.clear()
            self._companion = None
        reached(Boundary.OUTBOX_WRITTEN)
        return self._shards


class Database:
    """A service's own database: its pool, and the only way to a transaction."""

    def __init__(
        self,
        url: str,
        outbox: Outbox,
        *,
        pool_size: int = 10,
        application: str = "portfolio-bus",
        planner: Mapping[str, str] | None = None,
    ) -> None:
        #: `url` begins with `postgresql+asyncpg://`; no connection is opened before the first use
        #: `planner`: what PostgreSQL's planner may use, where it differs from the usual
        self.engine: AsyncEngine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            # The connection that was used last has its statements prepared, and its memory warm.
            pool_use_lifo=True,
            # Errors go to the log, and what was asked for does not.
            hide_parameters=True,
            connect_args={
                "timeout": 5,
                "server_settings": {
                    "application_name": application,
                    "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
                    "statement_timeout": _STATEMENT_MS,
                    "jit": "off",
                    **(planner or {}),
                },
            },
        )
        self.outbox = outbox
        #: woken with every commit that leaves something for the relay
        self.signal = OutboxSignal()

    @asynccontextmanager
    async def unit_of_work(self, cause: Cause | None = None) -> AsyncIterator[UnitOfWork]:
        """One transaction: committed with its events when the block ends, rolled back when it raises."""
        async with self.engine.connect() as connection:
            async with connection.begin():
                work = UnitOfWork(connection, cause, self.outbox)
                reached(Boundary.UNIT_OF_WORK_BEGUN)
                yield work
                shards = await work.flush()
            reached(Boundary.COMMITTED)
        self.signal.wake(shards)
        work.tell_committed()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection without a transaction: every statement stands alone, with a snapshot of its own."""
        async with self.engine.connect() as connection:
            reader = await connection.execution_options(isolation_level="AUTOCOMMIT")
            yield reader

    @asynccontextmanager
    async def driver_connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Asyncpg's own connection, for one query asked many times a second: a fifth of the cost."""
        raw = await self.engine.raw_connection()
        try:
            yield raw.driver_connection
        except BaseException:
            raw.invalidate()  # or its next user would get the error
            raise
        finally:
            raw.close()

    def collect(self) -> Iterable[Metric]:
        """How much of the pool is in use."""
        pool = self.engine.pool
        if isinstance(pool, AsyncAdaptedQueuePool):
            yield POOL_SIZE.told({(): pool.size()})
            yield POOL_IN_USE.told({(): pool.checkedout()})

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()
