"""Deliveries and their attempts over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import DeliveryState, Outcome, Reason, WebhookType, message_id_of
from services.webhook_dispatcher.storage import AttemptRow, DeliveryFilter, DeliveryRow
from shared.contracts import Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Span, refuses, span_asked
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("webhooks:read"))]
DeliveryPage = Annotated[Page, Depends(paged_by("created_at", order="desc"))]
AttemptPage = Annotated[Page, Depends(paged_by("number", kinds={"number": int}))]
OfSubscription = Annotated[UUID | None, Query(description="only those for this subscription")]
OfAccount = Annotated[UUID | None, Query(description="only those about this account")]
InState = Annotated[DeliveryState | None, Query(description="only those in this state")]
OfType = Annotated[WebhookType | None, Query(description="only those of this type")]
OfEvent = Annotated[
    str | None, Query(max_length=256, description="only those of this event, alone or in a package with others")
]
Planned = Annotated[Span, Depends(span_asked)]


class DeliveryShown(BaseModel):
    """One event on its way to one subscription."""

    id: UUID = Field(description="The delivery")
    subscription_id: UUID = Field(description="The subscription")
    message_id: str = Field(
        description="The header webhook-id, the same in every attempt",
        examples=["msg_0197f6a43c1d7b529d0e6f1c2a3b4d5e"],
    )
    account_id: UUID | None = Field(description="The account that the event is about")
    event_id: str = Field(
        description="The event; `payload[].id` in the body", examples=["0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e"]
    )
    event_type: str = Field(description="Its type", examples=["PORTFOLIO_ORDER.CANCELLED"])
    more_event_ids: list[str] = Field(description="The events that are in the same package behind it")
    configuration_version: int | None = Field(description="The configuration that a rebalancing event belongs to")
    state: DeliveryState = Field(description="Where it stands")
    reason: Reason | None = Field(description="Why it was stopped or has failed")
    attempts: int = Field(description="How many were made")
    due_at: Timestamp = Field(description="When the next attempt is due, while it is WAITING")
    created_at: Timestamp = Field(description="When it was planned")
    updated_at: Timestamp = Field(description="When it last changed")


class AttemptShown(BaseModel):
    """One attempt to deliver."""

    number: int = Field(description="From 1")
    started_at: Timestamp = Field(description="When it began")
    finished_at: Timestamp | None = Field(description="When its outcome was known; null for one that was lost")
    outcome: Outcome = Field(description="What came of it")
    status_code: int | None = Field(description="The endpoint's answer", examples=[200])
    error: str | None = Field(description="What went wrong, where nothing was answered", examples=[None])
    response_body: str | None = Field(description="The beginning of the answer, 4 KiB at most", examples=["ok"])
    projection_position: int | None = Field(description="How far the copy of configurations had come at its start")
    deletion_position: int | None = Field(description="Where the newest deletion stood that had been applied by then")


def delivery_routes(database: Database) -> APIRouter:
    """The routes that look at deliveries."""
    router = APIRouter(tags=["deliveries"])

    @router.get(
        "/webhooks/{subscription_id}/deliveries",
        responses=refuses(use_cases.SubscriptionNotFound),
        summary="List a subscription's deliveries",
    )
    async def list_of_subscription(
        reader: Reader,
        page: DeliveryPage,
        planned: Planned,
        subscription_id: UUID,
        account_id: OfAccount = None,
        state: InState = None,
        event_type: OfType = None,
        event_id: OfEvent = None,
    ) -> Listing[DeliveryShown]:
        of = subscription_id, account_id, event_id, event_type, state
        wanted = DeliveryFilter(*of, planned.since, planned.before)
        async with database.reading() as connection:
            await use_cases.read_subscription(connection, reader.client_id, subscription_id)
            part = await use_cases.list_deliveries(connection, reader.client_id, wanted, page)
        return Listing[DeliveryShown].showing(page, part.of(delivery_shown))

    @router.get("/deliveries", summary="List deliveries")
    async def list_deliveries(
        reader: Reader,
        page: DeliveryPage,
        planned: Planned,
        subscription_id: OfSubscription = None,
        account_id: OfAccount = None,
        state: InState = None,
        event_type: OfType = None,
        event_id: OfEvent = None,
    ) -> Listing[DeliveryShown]:
        of = subscription_id, account_id, event_id, event_type, state
        wanted = DeliveryFilter(*of, planned.since, planned.before)
        async with database.reading() as connection:
            part = await use_cases.list_deliveries(connection, reader.client_id, wanted, page)
        return Listing[DeliveryShown].showing(page, part.of(delivery_shown))

    @router.get("/deliveries/{delivery_id}", responses=refuses(use_cases.DeliveryNotFound), summary="Read a delivery")
    async def read_delivery(reader: Reader, delivery_id: UUID) -> DeliveryShown:
        async with database.reading() as connection:
            return delivery_shown(await use_cases.read_delivery(connection, reader.client_id, delivery_id))

    @router.get(
        "/deliveries/{delivery_id}/attempts",
        responses=refuses(use_cases.DeliveryNotFound),
        summary="List a delivery's attempts",
    )
    async def list_attempts(reader: Reader, page: AttemptPage, delivery_id: UUID) -> Listing[AttemptShown]:
        async with database.reading() as connection:
            part = await use_cases.list_attempts(connection, reader.client_id, delivery_id, page)
        return Listing[AttemptShown].showing(page, part.of(_attempt_shown))

    return router


def delivery_shown(row: DeliveryRow) -> DeliveryShown:
    """The delivery as the API shows it."""
    return DeliveryShown(**vars(row), message_id=message_id_of(row.id))


def _attempt_shown(row: AttemptRow) -> AttemptShown:
    body = row.response_body
    # An endpoint answers with whatever bytes it likes.
    text = None if body is None else body.decode("utf-8", "replace")
    return AttemptShown(**{**vars(row), "response_body": text})
