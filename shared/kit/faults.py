"""Which errors say that a part of the infrastructure is away, and not that a message or a request is wrong."""

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

#: What comes of connecting where SQLAlchemy only hands on a driver's connection: it is wrapped nowhere then, and says
#: for example that the database system is starting up.
NOT_CONNECTED: type[Exception] = AsyncAdapt_asyncpg_dbapi.Error

#: What starts a loop over, whatever lies behind it.
INFRASTRUCTURE: tuple[type[Exception], ...] = (
    KafkaError,
    DBAPIError,
    PoolTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    NOT_CONNECTED,
    OSError,
)

#: SQLSTATE classes that pass by themselves: connection, resources, operator, system; and what a rerun settles.
_PASSING = ("08", "53", "57", "58", "40")


def is_infrastructure(fault: BaseException) -> bool:
    """Whether `fault` is nobody's message's fault: the same work may well succeed later, unchanged."""
    if isinstance(fault, InterfaceError | OperationalError | PoolTimeoutError | KafkaError | OSError):
        return True
    if isinstance(fault, asyncpg.InterfaceError | NOT_CONNECTED):
        return True
    if isinstance(fault, DBAPIError):
        state = getattr(fault.orig, "sqlstate", None) or ""
        # Without a state it is the driver's own: it was told that its connection ends, and has not seen it end yet.
        return state.startswith(_PASSING) or (isinstance(fault, InternalError) and not state)
    return False
