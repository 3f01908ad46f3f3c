"""What can be done with a subscription besides changing it: pause, resume, test, a new secret."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import TooManyKeys
from services.webhook_dispatcher.use_cases import SubscriptionNotFound, SubscriptionOff
from shared.contracts import Timestamp
from shared.kit.http import RequestBody, cause_of, refuses
from shared.kit.secrets import SecretBox
from shared.kit.unit_of_work import Database

from .deliveries import DeliveryShown, delivery_shown
from .subscriptions import Admin, Creating, SubscriptionShown, tagged

_DAY = 86_400


def _whole(value: object) -> object:
    # In JSON 60.0 is an integer as well.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class SigningSecretToRotate(RequestBody):
    """How the secret is to be replaced."""

    overlap_seconds: Annotated[int, BeforeValidator(_whole)] = Field(
        _DAY, ge=0, le=30 * _DAY, description="For how long the keys before it sign as well", examples=[_DAY]
    )


#: What is meant where nothing is sent.
_WITH_A_DAY = SigningSecretToRotate()


class SigningSecretRotated(BaseModel):
    """A subscription's new secret."""

    id: UUID = Field(description="The subscription")
    secret: str = Field(
        description="The secret, shown this once: nobody can read it again",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )
    public_key: str | None = Field(description="What verifies `v1a` from now on", examples=[None])
    overlap_until: Timestamp | None = Field(description="Until when the keys before it sign as well; null if not")


def action_routes(database: Database, box: SecretBox) -> APIRouter:
    """The routes under /webhooks/{subscription_id} that do something."""
    router = APIRouter(prefix="/webhooks/{subscription_id}", tags=["webhooks"])

    @router.post(
        "/pause",
        responses=refuses(SubscriptionNotFound, etag=True),
        summary="Let everything wait that is planned for a subscription",
    )
    async def pause(request: Request, response: Response, admin: Admin, subscription_id: UUID) -> SubscriptionShown:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            row = await use_cases.pause_subscription(work, subscription_id, paused=True)
        return tagged(response, row)

    @router.post(
        "/resume",
        responses=refuses(SubscriptionNotFound, etag=True),
        summary="Send what waits for a paused subscription, and go on",
    )
    async def resume(request: Request, response: Response, admin: Admin, subscription_id: UUID) -> SubscriptionShown:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            row = await use_cases.pause_subscription(work, subscription_id, paused=False)
        return tagged(response, row)

    @router.post(
        "/test",
        status_code=201,
        response_model=DeliveryShown,
        responses=refuses(SubscriptionNotFound, SubscriptionOff),
        summary="Send a subscription the event WEBHOOK.TEST",
    )
    async def test(creation: Creating, subscription_id: UUID) -> Response:
        async with creation.unit_of_work(database) as work:
            delivery = await use_cases.try_subscription(work, subscription_id)
            return creation.keep(work, delivery_shown(delivery), location=f"/deliveries/{delivery.id}")

    @router.post(
        "/secret/rotate",
        responses=refuses(SubscriptionNotFound, TooManyKeys),
        summary="Give a subscription a new secret",
    )
    async def rotate_secret(
        request: Request, admin: Admin, subscription_id: UUID, body: SigningSecretToRotate = _WITH_A_DAY
    ) -> SigningSecretRotated:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            rotated = await use_cases.rotate_secret(work, subscription_id, body.overlap_seconds, box)
        return SigningSecretRotated(id=subscription_id, **vars(rotated))

    return router
