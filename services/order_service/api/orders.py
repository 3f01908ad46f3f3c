"""Routes of portfolio orders.

Execution reports have none: they come from upstream, as commands on Kafka.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from shared.contracts import Currency, Name, OrderSide, OrderStatus, Version
from shared.kit.auth import Principal, requires
from shared.kit.http import DecimalText, RequestBody, cause_of
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .. import use_cases
from ..domain import Order, OrderResource, WantedOrder
from ..storage.orders import Filters

Reader = Annotated[Principal, Depends(requires("orders:read"))]
Admin = Annotated[Principal, Depends(requires("orders:admin"))]
NewestFirst = Annotated[Page, Depends(paged_by("created_at", order="desc"))]


class OrderBody(RequestBody):
    """An order to be placed."""

    user_id: UUID = Field(description="The user who owns the account")
    account_id: UUID = Field(description="The account to trade for")
    cash_amount: DecimalText = Field(description="How much, as a decimal string, in the currency; more than zero")
    currency: Currency = Field(description="ISO 4217 code")
    side: OrderSide = Field(description="BUY invests, SELL withdraws")
    client_reference: Name | None = Field(None, description="What the client wants to find on the order")
    configuration_version: Version | None = Field(
        None, description="The configuration that the caller has in mind; an older one is refused"
    )


def orders_router(database: Database, copies: use_cases.Copies) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/portfolios/orders", tags=["orders"])

    @router.post("", status_code=201)
    async def place(request: Request, response: Response, body: OrderBody, caller: Admin) -> OrderResource:
        """Place a portfolio order under the account's present configuration."""
        cause, wanted = cause_of(request, caller), WantedOrder(**body.model_dump())
        named = wanted.configuration_version

        async def decide() -> Order:
            async with database.unit_of_work(cause) as work:
                return await use_cases.place_order(work, cause, wanted)

        order = await copies.decided(decide, [wanted.account_id], {wanted.account_id: named} if named else {})
        response.headers["Location"] = f"/portfolios/orders/{order.id}"
        return OrderResource.of(order)

    @router.get("")
    async def list_(
        caller: Reader,
        page: NewestFirst,
        account_id: Annotated[UUID | None, Query(description="only orders of this account")] = None,
        allocation_id: Annotated[UUID | None, Query(description="only orders along this allocation")] = None,
        status: Annotated[OrderStatus | None, Query(description="only orders that stand here")] = None,
    ) -> Listing[OrderResource]:
        """List orders of both kinds, newest first; they grow without bound, so their total is not counted."""
        return await listed(database, caller.client_id, Filters(account_id, allocation_id, status), page)

    @router.get("/{order_id}")
    async def show(order_id: UUID, caller: Reader) -> OrderResource:
        """Show an order of either kind."""
        return OrderResource.of(await use_cases.show_order(database, caller.client_id, order_id))

    @router.delete("/{order_id}", status_code=204)
    async def cancel(request: Request, order_id: UUID, caller: Admin) -> None:
        """Cancel an order while it is NEW."""
        cause = cause_of(request, caller)
        async with database.unit_of_work(cause) as work:
            await use_cases.cancel_order(work, cause, order_id)

    return router


async def listed(database: Database, client_id: UUID, filters: Filters, page: Page) -> Listing[OrderResource]:
    """A part of the client's orders in the list's envelope."""
    found = await use_cases.page_of_orders(
        database, client_id, filters, limit=page.limit, offset=page.offset, order=page.order
    )
    return Listing[OrderResource].of(page, [OrderResource.of(order) for order in found], total_count=None)
