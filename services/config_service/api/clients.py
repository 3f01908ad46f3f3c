"""Clients over HTTP, for ops; every change leaves a line in the log that says who made it."""

from collections.abc import Collection
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from services.config_service import use_cases
from services.config_service.domain import (
    Client,
    ClientChange,
    Scope,
    TooManySecrets,
)
from shared.contracts import Name, Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, ExpectedRevision, RequestBody, cause_of, creating, etag_of, refuses
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("ops:read"))]
Admin = Annotated[Principal, Depends(requires("ops:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("ops:admin"), key_required=False))]
Revoked = Annotated[bool, Query(description="those whose access was revoked, instead of the others")]
ClientPage = Annotated[Page, Depends(paged_by("created_at"))]

_DAY = 86_400
_ONCE = "The secret, shown this once: nobody can read it again"


def _whole(value: object) -> object:
    # In JSON 60.0 is an integer as well.
    return int(value) if isinstance(value, float) and value.is_integer() else value


ClientName = Annotated[Name, Field(min_length=1, examples=["Example Broker"])]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]


class ClientToMake(RequestBody):
    """A new client."""

    name: ClientName = Field(description="What to call it")
    scopes: Scopes = Field(description="What it may do; admin implies read")


class ClientPatch(RequestBody):
    """What is to be changed; a field that is left out stays as it is."""

    # The defaults are never read: only what was sent counts.
    name: ClientName = Field(default_factory=str, description="What to call it")
    scopes: Scopes = Field(
        default_factory=list, description="What it may do; tokens that it has keep their scopes until they end"
    )

    def as_change(self) -> ClientChange:
        """What was sent, and nothing of what was left out."""
        sent = self.model_fields_set
        return ClientChange(self.name if "name" in sent else None, _plain(self.scopes) if "scopes" in sent else None)


class SecretToRotate(RequestBody):
    """How a client's secret is to be replaced."""

    overlap_seconds: Annotated[int, BeforeValidator(_whole)] = Field(
        _DAY, ge=0, le=30 * _DAY, description="For how long the secrets before it go on working", examples=[_DAY]
    )


#: What is meant where nothing is sent.
_WITH_A_DAY = SecretToRotate()


class ClientShown(BaseModel):
    """A client."""

    client_id: UUID = Field(description="The client")
    name: str = Field(description="What it is called", examples=["Example Broker"])
    scopes: list[Scope] = Field(description="What it may do")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When its name, scopes or access last changed")
    revoked_at: Timestamp | None = Field(description="When its access was taken back, for good")


class ClientMade(ClientShown):
    """A new client with its secret."""

    client_secret: str | None = Field(description=f"{_ONCE}; null in the answer to a repeated request", examples=["…"])


class SecretRotated(BaseModel):
    """A client's new secret."""

    client_id: UUID = Field(description="The client")
    client_secret: str = Field(description=_ONCE, examples=["…"])
    overlap_until: Timestamp | None = Field(description="Until when the secrets before it work; null if not at all")


def client_routes(database: Database) -> APIRouter:
    """The routes under /clients."""
    router = APIRouter(prefix="/clients", tags=["clients"])

    @router.post("", status_code=201, response_model=ClientMade, summary="Make a client", responses=refuses(etag=True))
    async def make_client(creation: Creating, body: ClientToMake) -> Response:
        async with creation.unit_of_work(database) as work:
            client, secret = await use_cases.add_client(work, creation.cause, body.name, _plain(body.scopes))
            made = ClientMade(**dict(_shown(client)), client_secret=secret)
            location, secrets = f"/clients/{client.client_id}", {"client_secret"}
            answer = creation.keep(work, made, location=location, revision=client.revision, secrets=secrets)
        _note("client created", client.client_id, creation.principal, scopes=sorted(client.scopes))
        return answer

    @router.get("", summary="List all clients")
    async def list_clients(_: Reader, page: ClientPage, revoked: Revoked = False) -> Listing[ClientShown]:  # noqa: FBT002 - a query parameter
        async with database.reading() as connection:
            part = await use_cases.list_clients(connection, page, revoked=revoked)
        return Listing[ClientShown].showing(page, part.of(_shown))

    @router.get("/{client_id}", summary="Read a client", responses=refuses(etag=True))
    async def read_client(response: Response, _: Reader, client_id: UUID) -> ClientShown:
        async with database.reading() as connection:
            client = await use_cases.read_client(connection, client_id)
        return _tagged(response, client)

    @router.patch("/{client_id}", summary="Change a client's name or scopes", responses=refuses(etag=True))
    async def change_client(
        request: Request,
        response: Response,
        admin: Admin,
        client_id: UUID,
        expected: ExpectedRevision,
        body: ClientPatch,
    ) -> ClientShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            client = await use_cases.change_client(work, cause, client_id, body.as_change(), expected)
        _note("client changed", client_id, admin, fields=sorted(body.model_fields_set), scopes=sorted(client.scopes))
        return _tagged(response, client)

    @router.post(
        "/{client_id}/secret/rotate",
        summary="Give a client a new secret",
        responses=refuses(TooManySecrets),
    )
    async def rotate_secret(
        request: Request, admin: Admin, client_id: UUID, body: SecretToRotate = _WITH_A_DAY
    ) -> SecretRotated:
        overlap = body.overlap_seconds
        async with database.unit_of_work(cause_of(request, admin)) as work:
            rotation = await use_cases.rotate_secret(work, client_id, overlap)
        _note("client secret rotated", client_id, admin, overlap_seconds=overlap)
        return SecretRotated(client_id=client_id, **vars(rotation))

    @router.delete(
        "/{client_id}",
        status_code=204,
        summary="Revoke a client's access, for good",
    )
    async def revoke_client(request: Request, admin: Admin, client_id: UUID, expected: ExpectedRevision) -> None:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            await use_cases.revoke_client(work, cause, client_id, expected)
        _note("client revoked", client_id, admin)

    return router


def _plain(scopes: Collection[Scope]) -> frozenset[str]:
    return frozenset(scope.value for scope in scopes)


def _shown(client: Client) -> ClientShown:
    return ClientShown.model_validate(vars(client) | {"scopes": sorted(client.scopes)})


def _tagged(response: Response, client: Client) -> ClientShown:
    response.headers["ETag"] = etag_of(client.revision)
    return _shown(client)


def _note(event: str, client_id: UUID, by: Principal, **more: object) -> None:
    use_cases.note_client(event, client_id, str(by.client_id), **more)
