"""Ledger portfolios over HTTP."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from services.config_service import use_cases
from services.config_service.domain import (
    LedgerRef,
    PortfolioInUse,
    PortfolioPatch,
    PortfolioResource,
    PortfolioToMake,
)
from shared.contracts import new_id
from shared.kit.auth import Principal
from shared.kit.http import Creation, ExpectedRevision, RequestBody, cause_of, creating, etag_of, refuses
from shared.kit.unit_of_work import Database

from .ledgers import LedgerRoute, callers
from .listings import Items, LedgerPage, WantedPortfolios, link_next

_BASE = "/v1/organizations/{organization_id}/ledgers/{ledger_id}/portfolios"

_BY_METADATA: Final = (
    "Up to ten parameters `metadata.<key>=<value>` ask for what is in the metadata: the value as a text, number or"
    " boolean, alone or in an array."
)
_TOTAL: Final = {"description": "How many there are", "schema": {"type": "integer", "minimum": 0}}
_COUNTED: Final[dict[int | str, dict[str, Any]]] = {204: {"headers": {"X-Total-Count": _TOTAL}}}

OrganizationId = Annotated[UUID, Path(description="The organization")]
LedgerId = Annotated[UUID, Path(description="A ledger of it")]
PortfolioId = Annotated[UUID, Path(description="A portfolio in it")]


class MakeBody(PortfolioToMake, RequestBody):
    """A new portfolio."""


class PatchBody(PortfolioPatch, RequestBody):
    """A JSON merge patch (RFC 7396); what is left out stays as it is."""


class _Place:
    """Which portfolios the path is about."""

    def __init__(self, organization_id: OrganizationId, ledger_id: LedgerId) -> None:
        self.organization_id = organization_id
        self.ledger_id = ledger_id

    def of(self, caller: Principal) -> LedgerRef:
        return LedgerRef(caller.client_id, self.organization_id, self.ledger_id)


Place = Annotated[_Place, Depends(_Place)]


def portfolio_routes(database: Database, without_token: UUID | None) -> APIRouter:
    """The routes of a ledger's portfolios."""
    router = APIRouter(prefix=_BASE, tags=["ledger portfolios"], route_class=LedgerRoute)
    read, admin = callers(without_token)
    reading, changing, making = Depends(read), Depends(admin), Depends(creating(admin, key_required=False))

    @router.post(
        "", status_code=201, response_model=PortfolioResource, summary="Make a portfolio", responses=refuses(etag=True)
    )
    async def create_portfolio(place: Place, body: MakeBody, creation: Creation = making) -> Response:
        ledger = place.of(creation.principal)
        async with creation.unit_of_work(database) as work:
            portfolio = await use_cases.create_portfolio(work, creation.cause, ledger, new_id(), body)
            location = f"{_BASE}/{{portfolio_id}}".format(**vars(portfolio))
            shown = PortfolioResource.of(portfolio)
            return creation.keep(work, shown, location=location, revision=portfolio.revision)

    @router.get(
        "",
        summary="List portfolios",
        description=_BY_METADATA,
    )
    async def list_portfolios(
        request: Request,
        response: Response,
        place: Place,
        page: LedgerPage,
        wanted: WantedPortfolios,
        reader: Principal = reading,
    ) -> Items[PortfolioResource]:
        async with database.reading() as connection:
            part = await use_cases.list_portfolios(connection, place.of(reader), wanted, page)
        link_next(request, response, part)
        return Items[PortfolioResource].of(page, part.of(PortfolioResource.of).items)

    @router.head("/metrics/count", status_code=204, summary="Count the portfolios", responses=_COUNTED)
    async def count_portfolios(place: Place, reader: Principal = reading) -> Response:
        async with database.reading() as connection:
            total = await use_cases.count_portfolios(connection, place.of(reader))
        return Response(status_code=204, headers={"X-Total-Count": str(total)})

    @router.get("/{portfolio_id}", summary="Read a portfolio", responses=refuses(etag=True))
    async def read_portfolio(
        response: Response, place: Place, portfolio_id: PortfolioId, reader: Principal = reading
    ) -> PortfolioResource:
        async with database.reading() as connection:
            portfolio = await use_cases.read_portfolio(connection, place.of(reader), portfolio_id)
        response.headers["ETag"] = etag_of(portfolio.revision)
        return PortfolioResource.of(portfolio)

    @router.patch("/{portfolio_id}", summary="Update a portfolio", responses=refuses(etag=True))
    async def update_portfolio(
        request: Request,
        response: Response,
        place: Place,
        portfolio_id: PortfolioId,
        body: PatchBody,
        expected: ExpectedRevision,
        caller: Principal = changing,
    ) -> PortfolioResource:
        cause, ledger = cause_of(request, caller), place.of(caller)
        async with database.unit_of_work(cause) as work:
            portfolio = await use_cases.update_portfolio(work, cause, ledger, portfolio_id, body, expected=expected)
        response.headers["ETag"] = etag_of(portfolio.revision)
        return PortfolioResource.of(portfolio)

    @router.delete(
        "/{portfolio_id}",
        status_code=204,
        summary="Delete a portfolio that no account names",
        responses=refuses(PortfolioInUse),
    )
    async def delete_portfolio(
        request: Request,
        place: Place,
        portfolio_id: PortfolioId,
        expected: ExpectedRevision,
        caller: Principal = changing,
    ) -> None:
        cause, ledger = cause_of(request, caller), place.of(caller)
        async with database.unit_of_work(cause) as work:
            await use_cases.delete_portfolio(work, cause, ledger, portfolio_id, expected=expected)

    return router
