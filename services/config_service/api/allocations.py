"""Allocations over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from services.config_service import use_cases
from services.config_service.domain import (
    Allocation,
    AllocationFilter,
    AllocationInUse,
    AllocationInvalid,
    ConfiguredAccount,
    NewAllocation,
)
from shared.contracts import AllocationItem, InstrumentIdType, Name, Timestamp
from shared.contracts.allocations import MAX_ALLOCATION_ITEMS
from shared.kit.auth import Principal, requires
from shared.kit.http import (
    BodyPart,
    Creation,
    DecimalText,
    ExpectedRevision,
    RequestBody,
    Span,
    cause_of,
    creating,
    etag_of,
    refuses,
    span_asked,
)
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .accounts import AccountShown, account_shown

Reader = Annotated[Principal, Depends(requires("portfolios:read"))]
Admin = Annotated[Principal, Depends(requires("portfolios:admin"))]
#: For what shows accounts whole.
AccountReader = Annotated[Principal, Depends(requires("accounts:read"))]
Creating = Annotated[Creation, Depends(creating(requires("portfolios:admin")))]
AllocationPage = Annotated[Page, Depends(paged_by("created_at"))]
ConfiguredPage = Annotated[Page, Depends(paged_by("configured_at"))]
InstrumentId = Annotated[str, Field(max_length=64)]


async def _asked_for(
    span: Annotated[Span, Depends(span_asked)],
    instrument_ids: Annotated[
        list[InstrumentId],
        Query(
            max_length=100,
            description="only allocations that hold at least one of these instruments; given once for each",
            examples=[["IE00B4L5Y983"]],
        ),
    ] = [],  # noqa: B006 - FastAPI copies it
) -> AllocationFilter:
    # ISINs are kept in upper case and UUIDs in lower, so that each is found however it is written.
    spelt = {spelling for id_ in instrument_ids for spelling in (id_.upper(), id_.lower())}
    return AllocationFilter(span.since, span.before, tuple(sorted(spelt)))


AsAskedFor = Annotated[AllocationFilter, Depends(_asked_for)]


#: What the rules on allocations accept, as far as a schema can say it: the document tells it, the domain decides.
_SPELLINGS = {
    InstrumentIdType.ISIN: "^[A-Z]{2}[A-Z0-9]{9}[0-9]$",
    InstrumentIdType.UUID: "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}
_KINDS: list[JsonValue] = [
    {"properties": {"instrument_id_type": {"const": kind.value}, "instrument_id": {"pattern": spelling}}}
    for kind, spelling in _SPELLINGS.items()
]
_SHARE = {
    "type": "string",
    "pattern": r"^(1(\.0{1,18})?|0\.0{0,17}[1-9][0-9]{0,17})$",
    "maxLength": 20,
    "examples": ["1"],
}


class ItemToMake(BodyPart):
    """One instrument and its share."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _KINDS})

    instrument_id: str = Field(max_length=64, description="The instrument", examples=["IE00B4L5Y983"])
    instrument_id_type: InstrumentIdType = Field(
        description="Whether instrument_id is an ISIN or a UUID", examples=[InstrumentIdType.ISIN.value]
    )
    weight: Annotated[DecimalText, WithJsonSchema(_SHARE)] = Field(
        description="The share, above 0; all weights sum to exactly 1"
    )


class AllocationToMake(RequestBody):
    """A whole allocation."""

    name: Annotated[Name, Field(min_length=1)] | None = Field(
        None, description="What the client calls it; left out or null, it has no name", examples=["World 70/30"]
    )
    allocation: list[ItemToMake] = Field(
        min_length=1, max_length=MAX_ALLOCATION_ITEMS, description="The complete list, no instrument twice"
    )


class AllocationShown(BaseModel):
    """An allocation."""

    allocation_id: UUID = Field(description="The allocation")
    name: str | None = Field(description="What the client calls it", examples=["World 70/30"])
    allocation: list[AllocationItem] = Field(description="The complete list of instruments; weights sum to 1")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")


class ConfiguredAccountShown(AccountShown):
    """An account that is configured with the allocation."""

    configuration_version: int = Field(description="The version of its configuration", examples=[1])
    configured_at: Timestamp = Field(description="When it was configured under this version")


def allocation_routes(database: Database) -> APIRouter:
    """The routes under /portfolios/allocations."""
    router = APIRouter(prefix="/portfolios/allocations", tags=["allocations"])

    @router.post(
        "",
        status_code=201,
        response_model=AllocationShown,
        summary="Make an allocation",
        responses=refuses(AllocationInvalid, etag=True),
    )
    async def make_allocation(creation: Creating, body: AllocationToMake) -> Response:
        async with creation.unit_of_work(database) as work:
            allocation = await use_cases.make_allocation(work, creation.cause, _whole(body))
            location = f"/portfolios/allocations/{allocation.allocation_id}"
            return creation.keep(work, _shown(allocation), location=location, revision=allocation.revision)

    @router.get("", summary="List allocations")
    async def list_allocations(reader: Reader, page: AllocationPage, wanted: AsAskedFor) -> Listing[AllocationShown]:
        async with database.reading() as connection:
            part = await use_cases.list_allocations(connection, reader.client_id, wanted, page)
        return Listing[AllocationShown].showing(page, part.of(_shown))

    @router.get("/{allocation_id}", summary="Read an allocation", responses=refuses(etag=True))
    async def read_allocation(response: Response, reader: Reader, allocation_id: UUID) -> AllocationShown:
        async with database.reading() as connection:
            allocation = await use_cases.read_allocation(connection, reader.client_id, allocation_id)
        return _tagged(response, allocation)

    @router.get("/{allocation_id}/accounts", summary="List the accounts that are configured with an allocation")
    async def list_configured_accounts(
        reader: AccountReader, page: ConfiguredPage, allocation_id: UUID
    ) -> Listing[ConfiguredAccountShown]:
        async with database.reading() as connection:
            part = await use_cases.list_configured_accounts(connection, reader.client_id, allocation_id, page)
        return Listing[ConfiguredAccountShown].showing(page, part.of(_configured_shown))

    @router.put(
        "/{allocation_id}",
        summary="Replace an allocation's name and list; nothing is traded",
        responses=refuses(AllocationInvalid, etag=True),
    )
    async def replace_allocation(
        request: Request,
        response: Response,
        admin: Admin,
        allocation_id: UUID,
        expected: ExpectedRevision,
        body: AllocationToMake,
    ) -> AllocationShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            allocation = await use_cases.replace_allocation(work, cause, allocation_id, _whole(body), expected)
        return _tagged(response, allocation)

    @router.delete(
        "/{allocation_id}",
        status_code=204,
        summary="Delete an allocation that nothing uses",
        responses=refuses(AllocationInUse),
    )
    async def delete_allocation(
        request: Request, admin: Admin, allocation_id: UUID, expected: ExpectedRevision
    ) -> None:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            await use_cases.delete_allocation(work, cause, allocation_id, expected)

    return router


def _whole(body: AllocationToMake) -> NewAllocation:
    # Unchecked on purpose: the domain's rules name the body's field, the contract's own types would not.
    items = (AllocationItem.model_construct(**dict(item)) for item in body.allocation)
    return NewAllocation(body.name, tuple(items))


def _shown(allocation: Allocation) -> AllocationShown:
    return AllocationShown(**vars(allocation))


def _tagged(response: Response, allocation: Allocation) -> AllocationShown:
    response.headers["ETag"] = etag_of(allocation.revision)
    return _shown(allocation)


def _configured_shown(configured: ConfiguredAccount) -> ConfiguredAccountShown:
    account = account_shown(configured.account)
    return ConfiguredAccountShown(
        **dict(account), configuration_version=configured.configuration_version, configured_at=configured.configured_at
    )
