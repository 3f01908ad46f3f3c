"""Rebalancing executions."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..domain import Execution, ExecutionAlreadyRequested, ExecutionNotFound

_INSERT = text(
    """
    INSERT INTO rebalancing_executions (client_id, id, created_at) VALUES (:client_id, :id, statement_timestamp())
    ON CONFLICT DO NOTHING RETURNING client_id, id, created_at
    """
)

_FIND = text("SELECT client_id, id, created_at FROM rebalancing_executions WHERE client_id = :client_id AND id = :id")


async def insert(connection: AsyncConnection, client_id: UUID, execution_id: UUID) -> Execution:
    """Store an execution; raises ExecutionAlreadyRequested if the client has one with this id."""
    row = (await connection.execute(_INSERT, {"client_id": client_id, "id": execution_id})).one_or_none()
    if row is None:
        raise ExecutionAlreadyRequested
    return Execution(id=row.id, client_id=row.client_id, created_at=row.created_at)


async def find(connection: AsyncConnection, client_id: UUID, execution_id: UUID) -> Execution:
    """Give the client's execution; raises ExecutionNotFound."""
    row = (await connection.execute(_FIND, {"client_id": client_id, "id": execution_id})).one_or_none()
    if row is None:
        raise ExecutionNotFound
    return Execution(id=row.id, client_id=row.client_id, created_at=row.created_at)
