"""Which errors say that a part of the infrastructure is away, and not that a message or a request is wrong."""

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

#: What a pool raises that is asked for the driver's own connection and cannot open one: nobody wraps that.
_NOT_OPENED = AsyncAdapt_asyncpg_dbapi.Error

#: What starts a loop over, whatever lies behind it.
INFRASTRUCTURE: tuple[type[Exception], ...] = (
    KafkaError,
    DBAPIError,
    PoolTimeoutError,
    _NOT_OPENED,
    asyncpg.InterfaceError,
    # The driver's state machine, where the server went away in the midst of an operation.
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
    OSError,
)

#: SQLSTATEs that pass by themselves, by their beginning: connection, resources, a lock not had in time, operator,
#: system; and what a rerun settles.
_PASSING = ("08", "53", "55P03", "57", "58", "40")


def is_infrastructure(fault: BaseException) -> bool:
    """Whether `fault` is nobody's message's fault: the same work may well succeed later, unchanged."""
    if isinstance(fault, InterfaceError | OperationalError | PoolTimeoutError | KafkaError | OSError):
        return True
    if isinstance(fault, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return True
    if isinstance(fault, _NOT_OPENED):
        return (fault.sqlstate or "").startswith(_PASSING)
    if isinstance(fault, DBAPIError):
        state = getattr(fault.orig, "sqlstate", None) or ""
        # Without a state it is the driver's own: it was told that its connection ends, and has not seen it end yet.
        return state.startswith(_PASSING) or (isinstance(fault, InternalError) and not state)
    return False
