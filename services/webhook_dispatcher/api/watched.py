"""Subscriptions of all clients over HTTP, for the people who run the system, and what they may do to them."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import Stopped, told_to_nobody
from services.webhook_dispatcher.storage import WatchedRow
from shared.contracts import Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import cause_of, refuses
from shared.kit.logs import get_logger
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .deliveries import DeliveryShown, delivery_shown

Reader = Annotated[Principal, Depends(requires("ops:read"))]
Admin = Annotated[Principal, Depends(requires("ops:admin"))]
WatchedPage = Annotated[Page, Depends(paged_by("created_at"))]
OfClient = Annotated[UUID | None, Query(description="only this client's")]
Failing = Annotated[bool, Query(description="only those whose last attempts have failed")]

_log = get_logger("ops")


class Circuit(StrEnum):
    """What may be sent to an endpoint."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class WatchedSubscription(BaseModel):
    """A subscription of any client, and how its endpoint does."""

    id: UUID = Field(description="The subscription")
    client_id: UUID = Field(description="Whose it is")
    title: str = Field(description="What its client calls it", examples=["Order book"])
    host: str = Field(
        description="Where it is told; without path and query, which may hold a secret", examples=["example.com"]
    )
    enabled: bool = Field(description="Whether anything is planned for it")
    disabled_reason: str | None = Field(
        description="Why it was switched off, if it was not its client who did", examples=[None]
    )
    paused_at: Timestamp | None = Field(description="Since when what is planned for it waits", examples=[None])
    circuit: Circuit = Field(description="OPEN: nothing is sent; HALF_OPEN: the next attempt is a probe")
    failing_since: Timestamp | None = Field(
        description="The first failed attempt after the last success; null where the last one was one", examples=[None]
    )
    waiting: int = Field(description="Deliveries that wait or are under way, counted up to 1,000", examples=[0])
    waiting_at_least: bool = Field(description="Whether there are more than were counted")
    overdue_seconds: float = Field(description="For how long the first of them has been due", examples=[0.0])
    attempts: int = Field(description="Attempts of its newest 50 deliveries", examples=[50])
    delivered: int = Field(description="How many of them were answered with 2xx", examples=[49])
    p95_seconds: float | None = Field(description="95 of 100 of them took no longer; null without any", examples=[0.12])


def watched_routes(database: Database, stopped: Stopped = told_to_nobody) -> APIRouter:
    """The routes under /ops on subscriptions and on sending again; `stopped` is told of what the gate stops."""
    router = APIRouter(prefix="/ops", tags=["ops"])

    @router.get("/subscriptions", summary="List subscriptions of all clients, and how their endpoints do")
    async def list_subscriptions_of_all(
        _: Reader, page: WatchedPage, *, client_id: OfClient = None, failing: Failing = False
    ) -> Listing[WatchedSubscription]:
        async with database.reading() as connection:
            part = await use_cases.list_watched_subscriptions(connection, client_id, page, failing=failing)
        return Listing[WatchedSubscription].showing(page, part.of(_shown))

    @router.post(
        "/subscriptions/{subscription_id}/pause",
        status_code=204,
        responses=refuses(use_cases.SubscriptionNotFound),
        summary="Let everything wait that is planned for a subscription of any client",
    )
    async def pause_anybodys(request: Request, admin: Admin, subscription_id: UUID) -> None:
        await _pause(database, request, admin, subscription_id, paused=True)

    @router.post(
        "/subscriptions/{subscription_id}/resume",
        status_code=204,
        responses=refuses(use_cases.SubscriptionNotFound),
        summary="Send what waits for a paused subscription of any client",
    )
    async def resume_anybodys(request: Request, admin: Admin, subscription_id: UUID) -> None:
        await _pause(database, request, admin, subscription_id, paused=False)

    @router.post(
        "/deliveries/{delivery_id}/resend",
        status_code=202,
        responses=refuses(
            use_cases.DeliveryNotFound,
            use_cases.StillOpen,
            use_cases.StoppedForGood,
            use_cases.Discarded,
            use_cases.TooLargeToSend,
            use_cases.SubscriptionSwitchedOff,
        ),
        summary="Send a delivery of any client again",
    )
    async def resend_anybodys(request: Request, admin: Admin, delivery_id: UUID) -> DeliveryShown:
        async with database.reading() as connection:
            owner = await use_cases.owner_of_delivery(connection, delivery_id)
        cause = replace(cause_of(request, admin), client_id=owner)
        noting = use_cases.noting_what_is_stopped(database, cause, delivery_id, stopped)
        async with noting, database.unit_of_work(cause) as work:
            row = await use_cases.resend(work, delivery_id)
        _log.info("delivery sent again", audit=True, delivery=str(delivery_id), by=str(admin.client_id))
        return delivery_shown(row)

    return router


async def _pause(
    database: Database, request: Request, admin: Principal, subscription_id: UUID, *, paused: bool
) -> None:
    async with database.reading() as connection:
        owner = await use_cases.owner_of_subscription(connection, subscription_id)
    async with database.unit_of_work(replace(cause_of(request, admin), client_id=owner)) as work:
        await use_cases.pause_subscription(work, subscription_id, paused=paused)
    does = "subscription paused" if paused else "subscription resumed"
    _log.info(does, audit=True, subscription=str(subscription_id), by=str(admin.client_id))


def _shown(row: WatchedRow) -> WatchedSubscription:
    told = vars(row)
    circuit = Circuit.OPEN if row.is_open else Circuit.HALF_OPEN if row.is_half_open else Circuit.CLOSED
    where = urlsplit(row.url)
    host = where.hostname or ""
    waiting = row.waiting if row.is_counted else row.waiting - 1
    return WatchedSubscription(
        **{name: told[name] for name in WatchedSubscription.model_fields if name in told and name != "waiting"},
        host=f"{host}:{where.port}" if where.port else host,
        circuit=circuit,
        waiting=waiting,
        waiting_at_least=not row.is_counted,
    )
