"""Allocations. One that was deleted keeps its row, for its revision, and is seen by nobody."""

from uuid import UUID

import orjson
from sqlalchemy import RowMapping, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Allocation, NewAllocation
from shared.contracts import AllocationItem, new_id
from shared.kit.paging import Page

from .listing import page_of
from .tables import allocations

#: all of an allocation but its owner, who is known to whoever asks
_ALLOCATION = [column for column in allocations.c if column.name != "client_id"]


async def allocation_of(connection: AsyncConnection, client_id: UUID, allocation_id: UUID) -> Allocation | None:
    """The client's allocation with this id."""
    return await _one(connection, _of(client_id, allocation_id))


async def hold_allocation(connection: AsyncConnection, client_id: UUID, allocation_id: UUID) -> Allocation | None:
    """The allocation, which cannot be deleted before the commit: it is about to be used."""
    return await _one(connection, _of(client_id, allocation_id).with_for_update(read=True))


async def lock_allocation(connection: AsyncConnection, client_id: UUID, allocation_id: UUID) -> Allocation | None:
    """The allocation, locked: whoever was about to use it is done, and nobody else begins before the commit."""
    return await _one(connection, _of(client_id, allocation_id).with_for_update(key_share=True))


async def allocations_of(connection: AsyncConnection, client_id: UUID, page: Page) -> tuple[list[Allocation], int]:
    """A page of the client's allocations, and how many it has."""
    rows, total = await page_of(connection, _all_of(client_id), page, tie_breaker="allocation_id")
    return [_allocation(row) for row in rows], total


async def add_allocation(connection: AsyncConnection, client_id: UUID, new: NewAllocation) -> Allocation:
    """Keep a new allocation."""
    moment = func.statement_timestamp()
    added = insert(allocations).values(
        allocation_id=new_id(),
        client_id=client_id,
        name=new.name,
        allocation=[item.model_dump(mode="json") for item in new.allocation],
        revision=1,
        created_at=moment,
        updated_at=moment,
    )
    return _allocation((await connection.execute(added.returning(*_ALLOCATION))).mappings().one())


async def delete_allocation(connection: AsyncConnection, allocation_id: UUID) -> Allocation:
    """Mark a locked allocation as deleted, under its next revision."""
    moment = func.statement_timestamp()
    deleted = (
        update(allocations)
        .where(allocations.c.allocation_id == allocation_id)
        .values(revision=allocations.c.revision + 1, updated_at=moment, deleted_at=moment)
    )
    return _allocation((await connection.execute(deleted.returning(*_ALLOCATION))).mappings().one())


def _all_of(client_id: UUID) -> Select[tuple[object, ...]]:
    return select(*_ALLOCATION).where(allocations.c.client_id == client_id, allocations.c.deleted_at.is_(None))


def _of(client_id: UUID, allocation_id: UUID) -> Select[tuple[object, ...]]:
    return _all_of(client_id).where(allocations.c.allocation_id == allocation_id)


async def _one(connection: AsyncConnection, wanted: Select[tuple[object, ...]]) -> Allocation | None:
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else _allocation(row)


def _allocation(row: RowMapping) -> Allocation:
    items = tuple(AllocationItem.model_validate_json(orjson.dumps(item)) for item in row["allocation"])
    return Allocation(**{**row, "allocation": items})
