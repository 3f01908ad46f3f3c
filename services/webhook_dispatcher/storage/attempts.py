"""Attempts: what came of each try, kept for people and for the proof of the gate."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True)
class AttemptRow:
    """One attempt of a delivery."""

    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    status_code: int | None
    error: str | None
    response_body: bytes | None = field(repr=False)
    #: offsets in configurations.events: how far the copy had come when the attempt was claimed, and where the newest
    #: deletion of the account's configuration stands that it had applied by then
    projection_position: int | None
    deletion_position: int | None


_OF_DELIVERY = text(
    """
    SELECT number, started_at, finished_at, outcome, status_code, error, response_body, projection_position,
           deletion_position
    FROM attempts WHERE delivery_id = :delivery_id ORDER BY number LIMIT 1000
    """
)


async def attempts_of(connection: AsyncConnection, delivery_id: UUID) -> list[AttemptRow]:
    """The attempts of a delivery in their order, the first thousand at most."""
    found = await connection.execute(_OF_DELIVERY, {"delivery_id": delivery_id})
    return [AttemptRow(**row) for row in found.mappings()]
