"""Deliveries of all clients over HTTP, for the people who run the system."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import message_id_of
from services.webhook_dispatcher.storage import DeliveryFilter, DeliveryRow
from shared.kit.auth import Principal, requires
from shared.kit.paging import Listing
from shared.kit.unit_of_work import Database

from .deliveries import DeliveryPage, DeliveryShown, InState, OfAccount, OfType

Reader = Annotated[Principal, Depends(requires("ops:read"))]
OfClient = Annotated[
    UUID | None,
    Query(description="only this client's; the caller's own where neither an account nor a subscription is named"),
]
OfSubscription = Annotated[UUID | None, Query(description="only those on their way to this subscription")]


class AnybodysDelivery(DeliveryShown):
    """One event on its way to one subscription of any client."""

    client_id: UUID = Field(description="Whose subscription it is")


def ops_delivery_routes(database: Database) -> APIRouter:
    """The routes under /ops that are about deliveries."""
    router = APIRouter(prefix="/ops", tags=["ops"])

    @router.get("/deliveries", summary="List deliveries of any client")
    async def list_anybodys_deliveries(
        reader: Reader,
        page: DeliveryPage,
        client_id: OfClient = None,
        account_id: OfAccount = None,
        subscription_id: OfSubscription = None,
        state: InState = None,
        event_type: OfType = None,
    ) -> Listing[AnybodysDelivery]:
        wanted = DeliveryFilter(subscription_id, account_id, event_type=event_type, state=state)
        async with database.reading() as connection:
            part = await use_cases.list_deliveries_for_ops(connection, reader.client_id, client_id, wanted, page)
        return Listing[AnybodysDelivery].showing(page, part.of(_shown))

    return router


def _shown(row: DeliveryRow) -> AnybodysDelivery:
    return AnybodysDelivery(**vars(row), message_id=message_id_of(row.id))
