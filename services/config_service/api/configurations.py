"""Configurations over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from services.config_service import use_cases
from services.config_service.domain import (
    AccountAlreadyConfigured,
    AccountNotActive,
    AccountNotForPortfolios,
    AccountNotFound,
    AllocationNotFound,
    Configuration,
)
from shared.contracts import Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, ExpectedRevision, RequestBody, cause_of, creating, etag_of, refuses
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("portfolios:read"))]
Admin = Annotated[Principal, Depends(requires("portfolios:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("portfolios:admin")))]
ConfigurationPage = Annotated[Page, Depends(paged_by("created_at"))]
WithAllocation = Annotated[UUID | None, Query(description="only configurations with this allocation")]


class AccountToConfigure(RequestBody):
    """The link that is asked for."""

    account_id: UUID = Field(description="The account to configure: of type PORTFOLIO, ACTIVE, not configured yet")
    allocation_id: UUID = Field(description="The allocation to invest it in")


class ConfigurationPatch(RequestBody):
    """The target that is to be changed."""

    allocation_id: UUID = Field(description="The allocation to invest the account in from now on")


class ConfigurationShown(BaseModel):
    """A configuration."""

    account_id: UUID = Field(description="The account that is configured")
    allocation_id: UUID = Field(description="The allocation that it is invested in")
    version: int = Field(description="Grows by one with every configuration that the account ever had", examples=[1])
    created_at: Timestamp = Field(description="When the account was configured")
    updated_at: Timestamp = Field(description="When the configuration last changed")


def configuration_routes(database: Database) -> APIRouter:
    """The routes under /portfolios/configurations."""
    router = APIRouter(prefix="/portfolios/configurations", tags=["configurations"])

    @router.post(
        "",
        status_code=201,
        response_model=ConfigurationShown,
        summary="Configure an account",
        responses=refuses(
            AccountNotFound,
            AllocationNotFound,
            AccountAlreadyConfigured,
            AccountNotForPortfolios,
            AccountNotActive,
            etag=True,
        ),
    )
    async def configure_account(creation: Creating, body: AccountToConfigure) -> Response:
        async with creation.unit_of_work(database) as work:
            made = await use_cases.configure_account(work, creation.cause, body.account_id, body.allocation_id)
            location = f"/portfolios/configurations/{made.account_id}"
            return creation.keep(work, _shown(made), location=location, revision=made.revision)

    @router.get("", summary="List configurations")
    async def list_configurations(
        reader: Reader, page: ConfigurationPage, allocation_id: WithAllocation = None
    ) -> Listing[ConfigurationShown]:
        async with database.reading() as connection:
            part = await use_cases.list_configurations(connection, reader.client_id, allocation_id, page)
        return Listing[ConfigurationShown].showing(page, part.of(_shown))

    @router.get("/{account_id}", summary="Read an account's configuration", responses=refuses(etag=True))
    async def read_configuration(response: Response, reader: Reader, account_id: UUID) -> ConfigurationShown:
        async with database.reading() as connection:
            configuration = await use_cases.read_configuration(connection, reader.client_id, account_id)
        return _tagged(response, configuration)

    @router.patch(
        "/{account_id}",
        summary="Give an account's configuration another allocation; nothing is traded",
        responses=refuses(AllocationNotFound, AccountNotActive, etag=True),
    )
    async def change_configuration(
        request: Request,
        response: Response,
        admin: Admin,
        account_id: UUID,
        expected: ExpectedRevision,
        body: ConfigurationPatch,
    ) -> ConfigurationShown:
        cause, allocation_id = cause_of(request, admin), body.allocation_id
        async with database.unit_of_work(cause) as work:
            changed = await use_cases.change_configuration(work, cause, account_id, allocation_id, expected)
        return _tagged(response, changed)

    @router.delete("/{account_id}", status_code=204, summary="Delete an account's configuration")
    async def delete_configuration(
        request: Request, admin: Admin, account_id: UUID, expected: ExpectedRevision
    ) -> None:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            await use_cases.delete_configuration(work, cause, account_id, expected)

    return router


def _shown(configuration: Configuration) -> ConfigurationShown:
    return ConfigurationShown(**vars(configuration))


def _tagged(response: Response, configuration: Configuration) -> ConfigurationShown:
    response.headers["ETag"] = etag_of(configuration.revision)
    return _shown(configuration)
