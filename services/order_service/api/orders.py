"""Routes of portfolio orders.

Execution reports have none: they come from upstream, as commands on Kafka.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from shared.contracts import Currency, Name, OrderSide, OrderStatus, Version
from shared.kit.auth import Principal, requires
from shared.kit.http import (
    Creation,
    DecimalText,
    RequestBody,
    Span,
    cause_of,
    creating,
    refuses,
    span_asked,
)
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .. import use_cases
from ..domain import (
    CURRENCIES,
    AccountCannotTakeOrders,
    AccountNotActive,
    AccountNotFound,
    AccountNotTrustworthy,
    AmountNotPlaceable,
    AmountTooFine,
    ConfigurationMissing,
    ConfigurationNotKnownYet,
    ConfigurationOutdated,
    OrderNotFound,
    OrderResource,
    PortfolioBlocked,
    TransitionNotAllowed,
    WantedOrder,
)
from ..storage.listing import Filters

Reader = Annotated[Principal, Depends(requires("orders:read"))]
Admin = Annotated[Principal, Depends(requires("orders:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("orders:admin")))]
Asked = Annotated[Span, Depends(span_asked)]
NewestFirst = Annotated[Page, Depends(paged_by("created_at", order="desc"))]

Status = Annotated[OrderStatus | None, Query(description="only orders that stand here")]
Account = Annotated[UUID | None, Query(description="only orders of this account")]
Allocation = Annotated[UUID | None, Query(description="only orders along this allocation")]

#: At most 18 digits before the point, and as many behind it as any decimal has.
_MORE_THAN_ZERO = r"^(?![0.]+$)(0|[1-9][0-9]{0,17})(\.[0-9]{1,16})?$"

_REFUSED = (
    AmountNotPlaceable,
    AmountTooFine,
    AccountNotFound,
    AccountCannotTakeOrders,
    AccountNotActive,
    PortfolioBlocked,
    ConfigurationMissing,
    ConfigurationOutdated,
    ConfigurationNotKnownYet,
    AccountNotTrustworthy,
)


class OrderBody(RequestBody):
    """An order to be placed."""

    user_id: UUID = Field(description="The user who owns the account")
    account_id: UUID = Field(description="The account to trade for")
    cash_amount: DecimalText = Field(
        description="How much, as a decimal string, in the currency and no finer than it; more than zero",
        examples=["100.00"],
        json_schema_extra={"pattern": _MORE_THAN_ZERO},
    )
    currency: Currency = Field(
        description="ISO 4217 code", examples=["EUR"], json_schema_extra={"enum": [*sorted(CURRENCIES)]}
    )
    side: OrderSide = Field(description="BUY invests, SELL withdraws")
    client_reference: Name | None = Field(
        None, description="What the client wants to find on the order", examples=["savings plan, June"]
    )
    configuration_version: Version | None = Field(
        None, description="The configuration that the caller has in mind; an older one is refused", examples=[1]
    )


def orders_router(database: Database, copies: use_cases.Copies) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/portfolios/orders", tags=["orders"])

    @router.post(
        "", status_code=201, response_model=OrderResource, summary="Place an order", responses=refuses(*_REFUSED)
    )
    async def place(creation: Creating, body: OrderBody) -> Response:
        """Place a portfolio order under the account's present configuration."""
        wanted = WantedOrder(**body.model_dump())
        named = wanted.configuration_version

        async def decide() -> Response:
            async with creation.unit_of_work(database) as work:
                order = await use_cases.place_order(work, creation.cause, wanted)
                return creation.keep(work, OrderResource.of(order), location=f"/portfolios/orders/{order.id}")

        return await copies.decided(decide, [wanted.account_id], {wanted.account_id: named} if named else {})

    @router.get("", summary="List orders")
    async def list_(
        caller: Reader,
        page: NewestFirst,
        asked: Asked,
        account_id: Account = None,
        allocation_id: Allocation = None,
        status: Status = None,
    ) -> Listing[OrderResource]:
        """List orders of both kinds, newest first."""
        filters = Filters(account_id, allocation_id, status, since=asked.since, before=asked.before)
        return await listed(database, caller.client_id, filters, page)

    @router.get("/{order_id}", summary="Read an order", responses=refuses(OrderNotFound))
    async def show(order_id: UUID, caller: Reader) -> OrderResource:
        """Show an order of either kind."""
        return OrderResource.of(await use_cases.show_order(database, caller.client_id, order_id))

    @router.delete(
        "/{order_id}",
        status_code=204,
        summary="Cancel an order",
        responses=refuses(OrderNotFound, TransitionNotAllowed),
    )
    async def cancel(request: Request, order_id: UUID, caller: Admin) -> None:
        """Cancel an order of either kind while it is NEW."""
        cause = cause_of(request, caller)
        async with database.unit_of_work(cause) as work:
            await use_cases.cancel_order(work, cause, order_id)

    return router


async def listed(database: Database, client_id: UUID, filters: Filters, page: Page) -> Listing[OrderResource]:
    """A part of the client's orders in the list's envelope."""
    part = await use_cases.page_of_orders(database, client_id, filters, page)
    return Listing[OrderResource].showing(page, part.of(OrderResource.of))
