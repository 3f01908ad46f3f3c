"""Allocations over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.config_service import use_cases
from services.config_service.domain import Allocation, NewAllocation
from shared.contracts import AllocationItem, InstrumentIdType, Name, Timestamp
from shared.contracts.allocations import MAX_ALLOCATION_ITEMS
from shared.kit.auth import Principal, requires
from shared.kit.http import BodyPart, DecimalText, RequestBody, cause_of
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("portfolios:read"))]
Admin = Annotated[Principal, Depends(requires("portfolios:admin"))]
AllocationPage = Annotated[Page, Depends(paged_by("created_at"))]


class ItemToMake(BodyPart):
    """One instrument and its share."""

    instrument_id: str = Field(max_length=64, description="The instrument")
    instrument_id_type: InstrumentIdType = Field(description="Whether instrument_id is an ISIN or a UUID")
    weight: DecimalText = Field(description="The share, above 0; all weights sum to exactly 1")


class AllocationToMake(RequestBody):
    """A new allocation."""

    name: Annotated[Name, Field(min_length=1)] | None = Field(None, description="What the client calls it")
    allocation: list[ItemToMake] = Field(
        min_length=1, max_length=MAX_ALLOCATION_ITEMS, description="The complete list, no instrument twice"
    )


class AllocationShown(BaseModel):
    """An allocation."""

    allocation_id: UUID = Field(description="The allocation")
    name: str | None = Field(description="What the client calls it")
    allocation: list[AllocationItem] = Field(description="The complete list of instruments; weights sum to 1")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")


def allocation_routes(database: Database) -> APIRouter:
    """The routes under /portfolios/allocations."""
    router = APIRouter(prefix="/portfolios/allocations", tags=["allocations"])

    @router.post("", status_code=201, summary="Make an allocation")
    async def make_allocation(
        request: Request, response: Response, admin: Admin, body: AllocationToMake
    ) -> AllocationShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            allocation = await use_cases.make_allocation(work, cause, _asked_for(body))
        response.headers["Location"] = f"/portfolios/allocations/{allocation.allocation_id}"
        return _shown(allocation)

    @router.get("", summary="List allocations")
    async def list_allocations(reader: Reader, page: AllocationPage) -> Listing[AllocationShown]:
        async with database.reading() as connection:
            allocations, total = await use_cases.list_allocations(connection, reader.client_id, page)
        return Listing[AllocationShown].of(page, [_shown(allocation) for allocation in allocations], total)

    @router.get("/{allocation_id}", summary="Read an allocation")
    async def read_allocation(reader: Reader, allocation_id: UUID) -> AllocationShown:
        async with database.reading() as connection:
            return _shown(await use_cases.read_allocation(connection, reader.client_id, allocation_id))

    @router.delete("/{allocation_id}", status_code=204, summary="Delete an allocation that nothing uses")
    async def delete_allocation(request: Request, admin: Admin, allocation_id: UUID) -> None:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            await use_cases.delete_allocation(work, cause, allocation_id)

    return router


def _asked_for(body: AllocationToMake) -> NewAllocation:
    # Unchecked on purpose: the domain's rules name the body's field, the contract's own types would not.
    items = (AllocationItem.model_construct(**dict(item)) for item in body.allocation)
    return NewAllocation(body.name, tuple(items))


def _shown(allocation: Allocation) -> AllocationShown:
    return AllocationShown(**vars(allocation))
