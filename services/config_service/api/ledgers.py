"""Organizations and ledgers over HTTP, and what every route of the ledger has in common."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from services.config_service import use_cases
from services.config_service.domain import (
    LedgerNameTaken,
    LedgerRef,
    LedgerResource,
    LedgerToMake,
    OrganizationResource,
    OrganizationToMake,
    in_codes,
    refusal_of,
)
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, RequestBody, creating, refuses
from shared.kit.refusals import InvalidRequest
from shared.kit.unit_of_work import Database

from .listings import Items, LedgerPage, link_next

#: gives whoever asks
Caller = Callable[..., Awaitable[Principal]]


class LedgerRoute(APIRoute):
    """A route whose refusals carry the codes of the ledger's model."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer requests, translating what FastAPI finds wrong with them."""
        answer = super().get_route_handler()

        async def answer_with_codes(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as invalid:
                raise refusal_of(invalid.errors()) from invalid
            except InvalidRequest as refused:
                raise in_codes(refused) from refused.__cause__

        return answer_with_codes


class OrganizationBody(OrganizationToMake, RequestBody):
    """A new organization."""


class LedgerBody(LedgerToMake, RequestBody):
    """A new ledger."""


def callers(without_token: UUID | None) -> tuple[Caller, Caller]:
    """Give what finds the caller of a route that reads, and of one that changes.

    Requests without Authorization act as the client `without_token`, if there is one.
    """
    return (
        requires("portfolios:read", without_token=without_token),
        requires("portfolios:admin", without_token=without_token),
    )


def ledger_routes(database: Database, without_token: UUID | None) -> APIRouter:
    """The routes of organizations and ledgers, under /v1/organizations."""
    router = APIRouter(prefix="/v1/organizations", tags=["ledgers"], route_class=LedgerRoute)
    read, admin = callers(without_token)
    reading, making = Depends(read), Depends(creating(admin, key_required=False))

    @router.post("", status_code=201, response_model=OrganizationResource, summary="Make an organization")
    async def make_organization(body: OrganizationBody, creation: Creation = making) -> Response:
        async with creation.unit_of_work(database) as work:
            organization = await use_cases.make_organization(work, creation.cause, body)
            location = f"/v1/organizations/{organization.organization_id}"
            return creation.keep(work, OrganizationResource.of(organization), location=location)

    @router.get("", summary="List organizations")
    async def list_organizations(
        request: Request, response: Response, page: LedgerPage, reader: Principal = reading
    ) -> Items[OrganizationResource]:
        async with database.reading() as connection:
            part = await use_cases.list_organizations(connection, reader.client_id, page)
        link_next(request, response, part)
        return Items[OrganizationResource].of(page, part.of(OrganizationResource.of).items)

    @router.get("/{organization_id}", summary="Read an organization")
    async def read_organization(organization_id: UUID, reader: Principal = reading) -> OrganizationResource:
        async with database.reading() as connection:
            found = await use_cases.read_organization(connection, reader.client_id, organization_id)
        return OrganizationResource.of(found)

    @router.post(
        "/{organization_id}/ledgers",
        status_code=201,
        response_model=LedgerResource,
        summary="Make a ledger",
        responses=refuses(LedgerNameTaken),
    )
    async def make_ledger(organization_id: UUID, body: LedgerBody, creation: Creation = making) -> Response:
        async with creation.unit_of_work(database) as work:
            ledger = await use_cases.make_ledger(work, creation.cause, organization_id, body)
            location = f"/v1/organizations/{organization_id}/ledgers/{ledger.ledger_id}"
            return creation.keep(work, LedgerResource.of(ledger), location=location)

    @router.get("/{organization_id}/ledgers", summary="List an organization's ledgers")
    async def list_ledgers(
        request: Request, response: Response, organization_id: UUID, page: LedgerPage, reader: Principal = reading
    ) -> Items[LedgerResource]:
        async with database.reading() as connection:
            part = await use_cases.list_ledgers(connection, reader.client_id, organization_id, page)
        link_next(request, response, part)
        return Items[LedgerResource].of(page, part.of(LedgerResource.of).items)

    @router.get("/{organization_id}/ledgers/{ledger_id}", summary="Read a ledger")
    async def read_ledger(organization_id: UUID, ledger_id: UUID, reader: Principal = reading) -> LedgerResource:
        async with database.reading() as connection:
            found = await use_cases.read_ledger(connection, LedgerRef(reader.client_id, organization_id, ledger_id))
        return LedgerResource.of(found)

    return router
