"""Configurations over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from services.config_service import use_cases
from services.config_service.domain import Configuration
from shared.contracts import Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import RequestBody, cause_of
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("portfolios:read"))]
Admin = Annotated[Principal, Depends(requires("portfolios:admin"))]
ConfigurationPage = Annotated[Page, Depends(paged_by("created_at"))]
WithAllocation = Annotated[UUID | None, Query(description="only configurations with this allocation")]


class AccountToConfigure(RequestBody):
    """The link that is asked for."""

    account_id: UUID = Field(description="The account to configure: of type PORTFOLIO, ACTIVE, not configured yet")
    allocation_id: UUID = Field(description="The allocation to invest it in")


class ConfigurationShown(BaseModel):
    """A configuration."""

    account_id: UUID = Field(description="The account that is configured")
    allocation_id: UUID = Field(description="The allocation that it is invested in")
    version: int = Field(description="Grows by one with every configuration that the account ever had")
    created_at: Timestamp = Field(description="When the account was configured")
    updated_at: Timestamp = Field(description="When the configuration last changed")


def configuration_routes(database: Database) -> APIRouter:
    """The routes under /portfolios/configurations."""
    router = APIRouter(prefix="/portfolios/configurations", tags=["configurations"])

    @router.post("", status_code=201, summary="Configure an account")
    async def configure_account(
        request: Request, response: Response, admin: Admin, body: AccountToConfigure
    ) -> ConfigurationShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            configuration = await use_cases.configure_account(work, cause, body.account_id, body.allocation_id)
        response.headers["Location"] = f"/portfolios/configurations/{configuration.account_id}"
        return _shown(configuration)

    @router.get("", summary="List configurations")
    async def list_configurations(
        reader: Reader, page: ConfigurationPage, allocation_id: WithAllocation = None
    ) -> Listing[ConfigurationShown]:
        async with database.reading() as connection:
            found, total = await use_cases.list_configurations(connection, reader.client_id, allocation_id, page)
        return Listing[ConfigurationShown].of(page, [_shown(configuration) for configuration in found], total)

    @router.get("/{account_id}", summary="Read an account's configuration")
    async def read_configuration(reader: Reader, account_id: UUID) -> ConfigurationShown:
        async with database.reading() as connection:
            return _shown(await use_cases.read_configuration(connection, reader.client_id, account_id))

    @router.delete("/{account_id}", status_code=204, summary="Delete an account's configuration")
    async def delete_configuration(request: Request, admin: Admin, account_id: UUID) -> None:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            await use_cases.delete_configuration(work, cause, account_id)

    return router


def _shown(configuration: Configuration) -> ConfigurationShown:
    return ConfigurationShown(**vars(configuration))
