"""Subscriptions over HTTP: /webhooks."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import (
    ALL,
    LONGEST_URL,
    SELECTABLE,
    URL_PATTERN,
    AddressNotReached,
    AddressRule,
    EndpointConfig,
    WebhookType,
)
from services.webhook_dispatcher.storage import SubscriptionRow
from services.webhook_dispatcher.use_cases import NewEndpoint
from shared.contracts import Name, Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, RequestBody, cause_of, creating, refuses
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.secrets import SecretBox
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("webhooks:read"))]
Admin = Annotated[Principal, Depends(requires("webhooks:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("webhooks:admin")))]
SubscriptionPage = Annotated[Page, Depends(paged_by("created_at"))]

_SELECTION = (
    "ALL, categories (PORTFOLIO_ORDER) or full types (PORTFOLIO_ORDER.CANCELLED); GET /webhooks/types lists them"
)

#: What `check_selection` takes, in words of JSON Schema.
_EXCLUSION: dict[str, Any] = {"type": "array", "maxItems": 100, "items": {"type": "string", "enum": sorted(SELECTABLE)}}
_ANY_SELECTION: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string", "const": ALL}},
        {**_EXCLUSION, "minItems": 1},
    ]
}

_TITLE = "Order book"
_URL = "https://example.com/hook"
_TYPES = ["PORTFOLIO_ORDER", "ACCOUNT.CREATED"]
_LEFT_OUT = ["PORTFOLIO_ORDER.SETTLED"]


class ConfigToMake(RequestBody):
    """How an endpoint wants to be told."""

    delay: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds that an event waits, so that more can be sent with it",
        examples=[5.0],
    )
    max_package_size: int = Field(1, ge=1, le=100, description="Events of one account in one body", examples=[10])
    rate_limit: int | None = Field(None, ge=1, le=10_000, description="Requests a second at most", examples=[20])
    ordered: bool = Field(False, description="One account's events one after the other, in their order")
    timeout: float | None = Field(
        None, gt=0, le=120, description="Seconds to answer in, where fewer than usual", examples=[5.0]
    )


class SubscriptionToMake(RequestBody):
    """An endpoint that wants to be told."""

    title: Annotated[Name, Field(min_length=1)] = Field(description="What the client calls it", examples=[_TITLE])
    url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL, json_schema_extra={"pattern": URL_PATTERN})] = (
        Field(description="Where to POST to, http or https; not into networks of ours", examples=[_URL])
    )
    type: Annotated[list[str], Field(min_length=1, max_length=100), WithJsonSchema(_ANY_SELECTION)] = Field(
        description=_SELECTION, examples=[_TYPES]
    )
    exclude_type: Annotated[list[str], Field(max_length=100), WithJsonSchema(_EXCLUSION)] = Field(
        [], description="Categories or full types that are left out", examples=[_LEFT_OUT]
    )
    enabled: bool = Field(True, description="Nothing is planned for a subscription that is not enabled")
    config: ConfigToMake = Field(default_factory=ConfigToMake, description="How it wants to be told")


class ConfigShown(BaseModel):
    """How an endpoint is told."""

    delay: float = Field(description="Seconds that an event waits", examples=[5.0])
    max_package_size: int = Field(description="Events of one account in one body", examples=[10])
    rate_limit: int | None = Field(description="Requests a second at most", examples=[20])
    ordered: bool = Field(description="One account's events one after the other, in their order")
    timeout: float | None = Field(description="Seconds to answer in, where fewer than usual", examples=[5.0])


class SubscriptionShown(BaseModel):
    """A subscription."""

    id: UUID = Field(description="The subscription; `webhook_id` in the bodies that it is sent")
    title: str = Field(description="What the client calls it", examples=[_TITLE])
    url: str = Field(description="Where it is told", examples=[_URL])
    type: list[str] = Field(description="What it is told of", examples=[_TYPES])
    exclude_type: list[str] = Field(description="What is left out of that", examples=[_LEFT_OUT])
    enabled: bool = Field(description="Whether anything is planned for it")
    disabled_reason: str | None = Field(
        description="Why it was switched off, if it was not its client who did", examples=[None]
    )
    config: ConfigShown = Field(description="How it is told")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")


class SubscriptionMade(SubscriptionShown):
    """A new subscription with its secret, which nobody can read again."""

    secret: str | None = Field(
        description="whsec_ and 32 bytes in base64, for Standard Webhooks libraries; null in a replayed answer",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )


class TypesShown(BaseModel):
    """The types of events."""

    data: list[str] = Field(
        description="Full types; what stands before the dot is the category", examples=[["PORTFOLIO_ORDER.CANCELLED"]]
    )


def subscription_routes(database: Database, rule: AddressRule, box: SecretBox) -> APIRouter:
    """The routes under /webhooks that are about subscriptions."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post(
        "",
        status_code=201,
        response_model=SubscriptionMade,
        responses=refuses(use_cases.ClientRevoked, AddressNotReached),
        summary="Subscribe an endpoint",
    )
    async def subscribe(creation: Creating, body: SubscriptionToMake) -> Response:
        config = EndpointConfig(**dict(body.config))
        endpoint = NewEndpoint(body.title, body.url, body.type, body.exclude_type, body.enabled, config)
        async with creation.unit_of_work(database) as work:
            row, secret = await use_cases.subscribe(work, endpoint, rule, box)
            made = SubscriptionMade(**_columns(row), secret=secret)
            return await creation.keep(work, made, location=f"/webhooks/{row.id}", secrets={"secret"})

    @router.get("", summary="List subscriptions")
    async def list_subscriptions(reader: Reader, page: SubscriptionPage) -> Listing[SubscriptionShown]:
        async with database.reading() as connection:
            part = await use_cases.list_subscriptions(connection, reader.client_id, page)
        return Listing[SubscriptionShown].showing(page, part.of(_shown))

    # Before the route with an id, which would take the word for one.
    @router.get("/types", summary="List the types of events")
    async def list_types(_: Reader) -> TypesShown:
        return TypesShown(data=[each.value for each in WebhookType])

    @router.get("/{subscription_id}", responses=refuses(use_cases.SubscriptionNotFound), summary="Read a subscription")
    async def read_subscription(reader: Reader, subscription_id: UUID) -> SubscriptionShown:
        async with database.reading() as connection:
            return _shown(await use_cases.read_subscription(connection, reader.client_id, subscription_id))

    @router.delete(
        "/{subscription_id}",
        status_code=204,
        responses=refuses(use_cases.SubscriptionNotFound),
        summary="Unsubscribe; what waits is discarded",
    )
    async def delete_subscription(request: Request, admin: Admin, subscription_id: UUID) -> Response:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            await use_cases.delete_subscription(work, subscription_id)
        return Response(status_code=204)

    return router


def _shown(row: SubscriptionRow) -> SubscriptionShown:
    return SubscriptionShown(**_columns(row))


def _columns(row: SubscriptionRow) -> dict[str, object]:
    columns = vars(row)
    config = ConfigShown(
        delay=row.delay_seconds,
        max_package_size=row.max_package_size,
        rate_limit=row.rate_limit,
        ordered=row.ordered,
        timeout=row.timeout_seconds,
    )
    return {**columns, "type": columns["types"], "exclude_type": columns["exclude_types"], "config": config}
