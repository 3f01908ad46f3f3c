"""Subscriptions over HTTP: /webhooks."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import (
    ALL,
    ANNOUNCED,
    SELECTABLE,
    AddressNotReached,
    CertificatesNotUsable,
    HeadersNotAllowed,
    ScheduleNotAllowed,
)
from services.webhook_dispatcher.storage import SubscriptionRow
from services.webhook_dispatcher.use_cases import EndpointChange, NewEndpoint, SubscriptionRules
from shared.contracts import Name, Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, ExpectedRevision, RequestBody, cause_of, creating, etag_of, refuses
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .config import ConfigPatch, ConfigShown, ConfigToMake, Url, config_shown

Reader = Annotated[Principal, Depends(requires("webhooks:read"))]
Admin = Annotated[Principal, Depends(requires("webhooks:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("webhooks:admin")))]
SubscriptionPage = Annotated[Page, Depends(paged_by("created_at"))]

#: what a subscription may be refused for besides its form
_UNFIT = (
    use_cases.ClientRevoked,
    AddressNotReached,
    HeadersNotAllowed,
    CertificatesNotUsable,
    ScheduleNotAllowed,
)

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

_WHERE = "Where to POST to, http or https; not into networks of ours, nor to a port that the operator has not allowed"
_LEAVING_OUT = "Categories or full types that are left out"
_TITLE = "Order book"
_URL = "https://example.com/hook"
_TYPES = ["PORTFOLIO_ORDER", "ACCOUNT.CREATED"]
_LEFT_OUT = ["PORTFOLIO_ORDER.SETTLED"]


Title = Annotated[Name, Field(min_length=1)]
Types = Annotated[list[str], Field(min_length=1, max_length=100), WithJsonSchema(_ANY_SELECTION)]
Exclusion = Annotated[list[str], Field(max_length=100), WithJsonSchema(_EXCLUSION)]


class SubscriptionToMake(RequestBody):
    """An endpoint that wants to be told."""

    title: Title = Field(description="What the client calls it", examples=[_TITLE])
    url: Url = Field(description=_WHERE, examples=[_URL])
    type: Types = Field(description=_SELECTION, examples=[_TYPES])
    exclude_type: Exclusion = Field([], description=_LEAVING_OUT, examples=[_LEFT_OUT])
    enabled: bool = Field(True, description="Nothing is planned for a subscription that is not enabled")
    config: ConfigToMake = Field(default_factory=ConfigToMake, description="How it wants to be told")


class SubscriptionPatch(RequestBody):
    """What is to be changed; a field that is left out stays as it is."""

    # The defaults are never read: only what was sent counts.
    title: Title = Field(default_factory=str, description="What the client calls it", examples=[_TITLE])
    url: Url = Field(default_factory=str, description=_WHERE, examples=[_URL])
    type: Types = Field(default_factory=list, description=_SELECTION, examples=[_TYPES])
    exclude_type: Exclusion = Field(default_factory=list, description=_LEAVING_OUT, examples=[_LEFT_OUT])
    enabled: bool = Field(
        default_factory=bool, description="false ends what waits for it; true begins anew, whoever has switched it off"
    )
    config: ConfigPatch | None = Field(
        default_factory=ConfigPatch, description="How it wants to be told, merged; null resets all of it"
    )

    def as_change(self) -> EndpointChange:
        """What was sent, and nothing of what was left out."""
        sent = {_FIELDS[name]: getattr(self, name) for name in self.model_fields_set if name in _FIELDS}
        return EndpointChange(sent, None if self.config is None else self.config.as_patch())


_FIELDS = {"title": "title", "url": "url", "type": "types", "exclude_type": "exclude_types", "enabled": "enabled"}


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
    paused_at: Timestamp | None = Field(
        None, description="Since when what is planned for it waits; null while it does not", examples=[None]
    )
    public_key: str | None = Field(
        None,
        description="whpk_ and 32 bytes in base64, which verify the signatures `v1a`; null without them",
        examples=[None],
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


def subscription_routes(database: Database, rules: SubscriptionRules) -> APIRouter:
    """The routes under /webhooks that are about subscriptions."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post(
        "",
        status_code=201,
        response_model=SubscriptionMade,
        responses=refuses(*_UNFIT, etag=True),
        summary="Subscribe an endpoint",
    )
    async def subscribe(creation: Creating, body: SubscriptionToMake) -> Response:
        config = body.config.as_config()
        endpoint = NewEndpoint(body.title, body.url, body.type, body.exclude_type, body.enabled, config)
        async with creation.unit_of_work(database) as work:
            row, secret = await use_cases.subscribe(work, endpoint, rules)
            made = SubscriptionMade(**_columns(row), secret=secret)
            location = f"/webhooks/{row.id}"
            return creation.keep(work, made, location=location, revision=row.revision, secrets={"secret"})

    @router.get("", summary="List subscriptions")
    async def list_subscriptions(reader: Reader, page: SubscriptionPage) -> Listing[SubscriptionShown]:
        async with database.reading() as connection:
            part = await use_cases.list_subscriptions(connection, reader.client_id, page)
        return Listing[SubscriptionShown].showing(page, part.of(_shown))

    # Before the route with an id, which would take the word for one.
    @router.get("/types", summary="List the types of events")
    async def list_types(_: Reader) -> TypesShown:
        return TypesShown(data=[each.value for each in ANNOUNCED])

    @router.get(
        "/{subscription_id}",
        responses=refuses(use_cases.SubscriptionNotFound, etag=True),
        summary="Read a subscription",
    )
    async def read_subscription(response: Response, reader: Reader, subscription_id: UUID) -> SubscriptionShown:
        async with database.reading() as connection:
            row = await use_cases.read_subscription(connection, reader.client_id, subscription_id)
        return tagged(response, row)

    @router.patch(
        "/{subscription_id}",
        responses=refuses(use_cases.SubscriptionNotFound, *_UNFIT, etag=True),
        summary="Change a subscription",
    )
    async def change_subscription(
        request: Request,
        response: Response,
        admin: Admin,
        subscription_id: UUID,
        expected: ExpectedRevision,
        body: SubscriptionPatch,
    ) -> SubscriptionShown:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            row = await use_cases.change_subscription(work, subscription_id, body.as_change(), rules, expected)
        return tagged(response, row)

    @router.delete(
        "/{subscription_id}",
        status_code=204,
        responses=refuses(use_cases.SubscriptionNotFound),
        summary="Unsubscribe; what waits is discarded",
    )
    async def delete_subscription(
        request: Request, admin: Admin, subscription_id: UUID, expected: ExpectedRevision
    ) -> None:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            await use_cases.delete_subscription(work, subscription_id, expected)

    return router


def tagged(response: Response, row: SubscriptionRow) -> SubscriptionShown:
    """The subscription as the API shows it, its revision in the answer's ETag."""
    response.headers["ETag"] = etag_of(row.revision)
    return _shown(row)


def _shown(row: SubscriptionRow) -> SubscriptionShown:
    return SubscriptionShown(**_columns(row))


def _columns(row: SubscriptionRow) -> dict[str, object]:
    columns = vars(row)
    named = {"type": columns["types"], "exclude_type": columns["exclude_types"]}
    return {**columns, **named, "config": config_shown(row)}
