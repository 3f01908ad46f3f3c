"""Subscriptions over HTTP: /webhooks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.webhook_dispatcher import use_cases
from services.webhook_dispatcher.domain import AddressRule, WebhookType
from services.webhook_dispatcher.storage import SubscriptionRow
from services.webhook_dispatcher.use_cases import NewEndpoint
from shared.contracts import Name, Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import RequestBody, cause_of
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.secrets import SecretBox
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("webhooks:read"))]
Admin = Annotated[Principal, Depends(requires("webhooks:admin"))]
SubscriptionPage = Annotated[Page, Depends(paged_by("created_at"))]

_SELECTION = (
    "ALL, categories (PORTFOLIO_ORDER) or full types (PORTFOLIO_ORDER.CANCELLED); GET /webhooks/types lists them"
)


class SubscriptionToMake(RequestBody):
    """An endpoint that wants to be told."""

    title: Annotated[Name, Field(min_length=1)] = Field(description="What the client calls it")
    url: str = Field(min_length=1, max_length=4096, description="Where to POST to, http or https")
    type: list[str] = Field(min_length=1, max_length=100, description=_SELECTION)
    exclude_type: list[str] = Field([], max_length=100, description="Categories or full types that are left out")
    enabled: bool = Field(True, description="Nothing is planned for a subscription that is not enabled")


class SubscriptionShown(BaseModel):
    """A subscription."""

    id: UUID = Field(description="The subscription; `webhook_id` in the bodies that it is sent")
    title: str = Field(description="What the client calls it")
    url: str = Field(description="Where it is told")
    type: list[str] = Field(description="What it is told of")
    exclude_type: list[str] = Field(description="What is left out of that")
    enabled: bool = Field(description="Whether anything is planned for it")
    disabled_reason: str | None = Field(description="Why it was switched off, if it was not its client who did")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")


class SubscriptionMade(SubscriptionShown):
    """A new subscription with its secret, which nobody can read again."""

    secret: str = Field(description="whsec_ and 32 bytes in base64, for Standard Webhooks libraries")


class TypesShown(BaseModel):
    """The types of events."""

    data: list[str] = Field(description="Full types; what stands before the dot is the category")


def subscription_routes(database: Database, rule: AddressRule, box: SecretBox) -> APIRouter:
    """The routes under /webhooks that are about subscriptions."""
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post("", status_code=201, summary="Subscribe an endpoint")
    async def subscribe(
        request: Request, response: Response, admin: Admin, body: SubscriptionToMake
    ) -> SubscriptionMade:
        endpoint = NewEndpoint(body.title, body.url, body.type, body.exclude_type, body.enabled)
        async with database.unit_of_work(cause_of(request, admin)) as work:
            row, secret = await use_cases.subscribe(work, endpoint, rule, box)
        response.headers["Location"] = f"/webhooks/{row.id}"
        return SubscriptionMade(**_columns(row), secret=secret)

    @router.get("", summary="List subscriptions")
    async def list_subscriptions(reader: Reader, page: SubscriptionPage) -> Listing[SubscriptionShown]:
        async with database.reading() as connection:
            rows, total = await use_cases.list_subscriptions(connection, reader.client_id, page)
        return Listing[SubscriptionShown].of(page, [SubscriptionShown(**_columns(row)) for row in rows], total)

    # Before the route with an id, which would take the word for one.
    @router.get("/types", summary="List the types of events")
    async def list_types(_: Reader) -> TypesShown:
        return TypesShown(data=[each.value for each in WebhookType])

    @router.get("/{subscription_id}", summary="Read a subscription")
    async def read_subscription(reader: Reader, subscription_id: UUID) -> SubscriptionShown:
        async with database.reading() as connection:
            return SubscriptionShown(
                **_columns(await use_cases.read_subscription(connection, reader.client_id, subscription_id))
            )

    @router.delete("/{subscription_id}", status_code=204, summary="Unsubscribe; what waits is discarded")
    async def delete_subscription(request: Request, admin: Admin, subscription_id: UUID) -> Response:
        async with database.unit_of_work(cause_of(request, admin)) as work:
            await use_cases.delete_subscription(work, subscription_id)
        return Response(status_code=204)

    return router


def _columns(row: SubscriptionRow) -> dict[str, object]:
    columns = vars(row)
    return {**columns, "type": columns["types"], "exclude_type": columns["exclude_types"]}
