"""Attempts: what came of each try, kept for people and for the proof of the gate."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, column, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kit.listing import page_of
from shared.kit.paging import Page, Part


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


_SEEN = (
    "number",
    "started_at",
    "finished_at",
    "outcome",
    "status_code",
    "error",
    "response_body",
    "projection_position",
    "deletion_position",
)
_ATTEMPTS = table("attempts", column("delivery_id"), *(column(name) for name in _SEEN))


async def attempts_of(connection: AsyncConnection, delivery_id: UUID, page: Page) -> Part[AttemptRow]:
    """A page of the attempts of a delivery."""
    rows = select(_ATTEMPTS).where(_ATTEMPTS.c.delivery_id == delivery_id)
    return (await page_of(connection, rows, page, id_column="delivery_id")).of(_row)


def _row(mapping: RowMapping) -> AttemptRow:
    return AttemptRow(**{name: mapping[name] for name in _SEEN})
