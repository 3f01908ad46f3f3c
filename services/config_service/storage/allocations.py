"""Allocations. One that was deleted keeps its row, for its revision, and is seen by nobody."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, RowMapping, Select, Text, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Allocation, AllocationFilter, NewAllocation
from shared.contracts import AllocationItem, new_id
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .tables import allocations

#: all of an allocation but its owner, who is known to whoever asks
_ALLOCATION = [column for column in allocations.c if column.name != "client_id"]


async def allocation_of(connection: AsyncConnection, client_id: UUID, allocation_id: UUID) -> Allocation | None:
    """The client's allocation with this id."""
    return await _one(connection, _of(client_id, allocation_id))


async def hold_allocation(connection: AsyncConnection, client_id: UUID, allocation_id: UUID) -> bool:
    """Whether the client has the allocation, which cannot be deleted before the commit then: it is about to be used."""
    # Its list may be long, and nothing of it matters here.
    held = _of(client_id, allocation_id).with_only_columns(allocations.c.allocation_id).with_for_update(read=True)
    return (await connection.execute(held)).first() is not None


async def lock_allocation(connection: AsyncConnection, client_id: UUID, allocation_id: UUID) -> Allocation | None:
    """The allocation, locked: whoever was about to use it is done, and nobody else begins before the commit."""
    return await _one(connection, _of(client_id, allocation_id).with_for_update(key_share=True))


async def allocations_of(
    connection: AsyncConnection, client_id: UUID, wanted: AllocationFilter, page: Page
) -> Part[Allocation]:
    """A page of the client's allocations."""
    theirs = _all_of(client_id).where(*_conditions(client_id, wanted))
    rows = await page_of(connection, theirs, page, id_column="allocation_id")
    return rows.of(_allocation)


def _conditions(client_id: UUID, wanted: AllocationFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield allocations.c.created_at >= wanted.since
    if wanted.before is not None:
        yield allocations.c.created_at < wanted.before
    if wanted.instrument_ids:
        # Written as the index has it.
        held = func.instruments_held(allocations.c.client_id, allocations.c.allocation, type_=ARRAY(Text))
        yield held.overlap([f"{client_id}/{instrument_id}" for instrument_id in wanted.instrument_ids])


async def add_allocation(connection: AsyncConnection, client_id: UUID, new: NewAllocation) -> Allocation:
    """Keep a new allocation."""
    moment = func.statement_timestamp()
    added = insert(allocations).values(
        allocation_id=new_id(),
        client_id=client_id,
        name=new.name,
        allocation=_written(new.allocation),
        revision=1,
        created_at=moment,
        updated_at=moment,
    )
    return _allocation((await connection.execute(added.returning(*_ALLOCATION))).mappings().one())


async def replace_allocation(connection: AsyncConnection, allocation_id: UUID, new: NewAllocation) -> Allocation | None:
    """Give a locked allocation its new name and list, under its next revision; None if all is so already."""
    written: dict[str, object] = {"name": new.name, "allocation": _written(new.allocation)}
    replaced = (
        update(allocations)
        .where(
            allocations.c.allocation_id == allocation_id,
            or_(*(allocations.c[name].is_distinct_from(value) for name, value in written.items())),
        )
        .values(**written, revision=allocations.c.revision + 1, updated_at=func.statement_timestamp())
    )
    row = (await connection.execute(replaced.returning(*_ALLOCATION))).mappings().one_or_none()
    return None if row is None else _allocation(row)


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


def _written(items: Sequence[AllocationItem]) -> list[dict[str, object]]:
    return [item.model_dump(mode="json") for item in items]


def _allocation(row: RowMapping) -> Allocation:
    items = tuple(AllocationItem.model_validate_json(orjson.dumps(item)) for item in row["allocation"])
    return Allocation(**{**row, "allocation": items})
