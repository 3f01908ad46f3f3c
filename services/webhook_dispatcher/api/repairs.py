"""Repair over HTTP: one delivery is sent again, or everything that has failed in a window of time."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import RecoveryState, Stopped, told_to_nobody
from services.webhook_dispatcher.storage import RecoveryRow
from shared.contracts import Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, RequestBody, cause_of, creating, refuses
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .deliveries import DeliveryShown, delivery_shown

Reader = Annotated[Principal, Depends(requires("webhooks:read"))]
Admin = Annotated[Principal, Depends(requires("webhooks:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("webhooks:admin")))]
RecoveryPage = Annotated[Page, Depends(paged_by("created_at", order="desc"))]


class Window(RequestBody):
    """What a recovery goes through."""

    since: Timestamp = Field(
        description="What was planned at this time or later", examples=["2026-01-31T12:00:00.000000Z"]
    )
    until: Timestamp | None = Field(
        None, description="And before this one; now at the latest", examples=["2026-01-31T18:00:00.000000Z"]
    )


class RecoveryShown(BaseModel):
    """A recovery: what has failed in a window of time is sent again, a little at a time."""

    id: UUID = Field(description="The recovery")
    subscription_id: UUID = Field(description="The subscription")
    since: Timestamp = Field(description="It goes through what was planned at this time or later")
    until: Timestamp = Field(description="And before this one")
    state: RecoveryState = Field(description="COMPLETED once all was sent again; the deliveries tell what came of it")
    reason: str | None = Field(description="Why it was stopped", examples=[None])
    reached_at: Timestamp = Field(description="It has gone through what was planned up to here")
    recovered: int = Field(description="How many deliveries it has sent again", examples=[120])
    suppressed: int = Field(description="How many it found that the gate stops, for good", examples=[3])
    left_out: int = Field(description="How many it found that are too large to be sent", examples=[0])
    created_at: Timestamp = Field(description="When it began")
    updated_at: Timestamp = Field(description="When it last came further")


class RecoveryProgress(RecoveryShown):
    """A recovery, and what of it is still under way."""

    waiting: int = Field(description="How many that it has sent again have not ended", examples=[50])


def repair_routes(database: Database, stopped: Stopped = told_to_nobody) -> APIRouter:
    """The routes that send again; `stopped` is told of what the gate does not let through."""
    router = APIRouter()

    @router.post(
        "/deliveries/{delivery_id}/resend",
        status_code=202,
        tags=["deliveries"],
        response_model=DeliveryShown,
        responses=refuses(
            use_cases.DeliveryNotFound,
            use_cases.StillOpen,
            use_cases.StoppedForGood,
            use_cases.Discarded,
            use_cases.TooLargeToSend,
            use_cases.SubscriptionSwitchedOff,
        ),
        summary="Send a delivery again, with the same webhook-id and body",
    )
    async def resend(creation: Creating, delivery_id: UUID) -> Response:
        noting = use_cases.noting_what_is_stopped(database, creation.cause, delivery_id, stopped)
        async with noting, creation.unit_of_work(database) as work:
            row = await use_cases.resend(work, delivery_id)
            return creation.keep(work, delivery_shown(row), location=f"/deliveries/{row.id}", status=202)

    @router.post(
        "/webhooks/{subscription_id}/recover",
        status_code=202,
        tags=["webhooks"],
        response_model=RecoveryShown,
        responses=refuses(
            use_cases.SubscriptionNotFound, use_cases.SubscriptionSwitchedOff, use_cases.RecoveryUnderWay
        ),
        summary="Send again what has failed in a window of time",
    )
    async def recover(creation: Creating, subscription_id: UUID, body: Window) -> Response:
        async with creation.unit_of_work(database) as work:
            row = await use_cases.recover(work, subscription_id, body.since, body.until)
            return creation.keep(work, _shown(row), location=f"/recoveries/{row.id}", status=202)

    _add_recoveries(router, database)
    return router


def _add_recoveries(router: APIRouter, database: Database) -> None:
    @router.get(
        "/webhooks/{subscription_id}/recoveries",
        tags=["webhooks"],
        responses=refuses(use_cases.SubscriptionNotFound),
        summary="List a subscription's recoveries",
    )
    async def list_recoveries(reader: Reader, page: RecoveryPage, subscription_id: UUID) -> Listing[RecoveryShown]:
        async with database.reading() as connection:
            part = await use_cases.list_recoveries(connection, reader.client_id, subscription_id, page)
        return Listing[RecoveryShown].showing(page, part.of(_shown))

    @router.get(
        "/recoveries/{recovery_id}",
        tags=["webhooks"],
        responses=refuses(use_cases.RecoveryNotFound),
        summary="See how far a recovery is",
    )
    async def read_recovery(reader: Reader, recovery_id: UUID) -> RecoveryProgress:
        async with database.reading() as connection:
            row, waiting = await use_cases.read_recovery(connection, reader.client_id, recovery_id)
        return RecoveryProgress(**vars(row), waiting=waiting)

    @router.delete(
        "/recoveries/{recovery_id}",
        status_code=204,
        tags=["webhooks"],
        responses=refuses(use_cases.RecoveryNotFound, use_cases.RecoveryOver),
        summary="Cancel a recovery; what waits already goes on",
    )
    async def cancel_recovery(request: Request, admin: Admin, recovery_id: UUID) -> Response:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            await use_cases.cancel_recovery(work, recovery_id)
        return Response(status_code=204)


def _shown(row: RecoveryRow) -> RecoveryShown:
    return RecoveryShown(**vars(row))
