"""A real server for real requests: every test of the HTTP conventions goes through uvicorn and a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Form, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.exc import OperationalError
from yarl import URL

from shared.kit.auth import LocalKeys, Principal, SigningKey, TokenIssuer, TokenVerifier, requires
from shared.kit.http import (
    BodyPart,
    BoundedConnection,
    DecimalText,
    ExpectedRevision,
    RequestBody,
    cause_of,
    create_app,
    etag_of,
    refuses,
)
from shared.kit.liveness import Liveness, Readiness
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.refusals import Conflict, FieldError, TooManyRequests, Unprocessable, refuse_unless_current

Served = AbstractAsyncContextManager[str]
Serve = Callable[[Any], Served]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals of the test run alone."""
        yield


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Serves an application on a free port while the block runs; answers its address."""

    @asynccontextmanager
    async def serving(app: Any) -> AsyncIterator[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(app, http=BoundedConnection, log_config=None, access_log=False, lifespan="off"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(10):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
            listener.close()

    return serving


class Part(BodyPart):
    weight: DecimalText
    instrument_id: str = Field(max_length=36)


class MakeThing(RequestBody):
    allocation_id: UUID
    count: int = 1
    switched_on: bool = True
    amount: DecimalText | None = None
    name: str | None = None
    at: AwareDatetime | None = None
    parts: tuple[Part, ...] = ()


class Thing(BaseModel):
    allocation_id: UUID
    amount: Decimal | None


class _TooManyThings(Unprocessable):
    """There are too many
    things already.
    """


def _fail(how: str) -> None:
    match how:
        case "conflict":
            raise Conflict
        case "fields":
            raise _TooManyThings(errors=[FieldError("body.name", "is taken")])
        case "later":
            raise TooManyRequests(retry_after=2.2)
        case "database":
            raise OperationalError("SELECT secret", {}, ConnectionRefusedError("10.0.0.1"))
        case "timeout":
            raise TimeoutError
        case _:
            raise RuntimeError("the secret of the house")


def _routes() -> APIRouter:
    router = APIRouter(prefix="/things")

    @router.post("", status_code=201)
    async def make(body: MakeThing) -> Thing:
        return Thing(allocation_id=body.allocation_id, amount=body.amount)

    @router.post("/{thing_id}/pause", status_code=204)
    async def pause(thing_id: UUID) -> None:
        """Take no body."""

    @router.get("/types")
    async def types() -> dict[str, list[str]]:
        return {"data": []}

    @router.get("/{thing_id}")
    async def read(thing_id: UUID) -> Thing:
        return Thing(allocation_id=thing_id, amount=Decimal("100.00"))

    @router.delete("/{thing_id}", status_code=204)
    async def delete(thing_id: UUID) -> None:
        """Answer without a body."""

    @router.get("")
    async def listed(page: Annotated[Page, Depends(paged_by("created_at", "name", order="desc"))]) -> Listing[Thing]:
        value = "a name" if page.sort == "name" else datetime.now(UTC)
        cursor = page.cursor_behind(value, uuid4()) if page.limit == 1 else None
        return Listing[Thing].of(page, [Thing(allocation_id=uuid4(), amount=None)], 1, cursor)

    @router.put("/{thing_id}", responses=refuses(_TooManyThings, etag=True))
    async def put(thing_id: UUID, body: MakeThing, expected: ExpectedRevision) -> Thing:
        refuse_unless_current(expected, 3)
        return Thing(allocation_id=thing_id, amount=body.amount)

    return router


def _others() -> APIRouter:
    router = APIRouter()

    @router.get("/others")
    async def others(page: Annotated[Page, Depends(paged_by("created_at", "name"))]) -> Listing[Thing]:
        return Listing[Thing].of(page, [], 0)

    @router.get("/fails/{how}")
    async def fails(how: str) -> None:
        _fail(how)

    @router.get("/half")
    async def half() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError

        return StreamingResponse(chunks(), headers={"Content-Length": "8"})

    @router.get("/search")
    async def search(name: str) -> dict[str, str]:
        return {"name": name}

    @router.get("/mine")
    async def mine(
        request: Request,
        caller: Annotated[Principal, Depends(requires("accounts:read"))],
    ) -> dict[str, str | None]:
        cause = cause_of(request, caller)
        return {
            "client_id": str(cause.client_id),
            "correlation_id": cause.correlation_id,
            "traceparent": cause.traceparent,
            "etag": etag_of(3),
        }

    @router.post("/mine", status_code=201)
    async def make_mine(
        body: MakeThing,
        caller: Annotated[Principal, Depends(requires("accounts:admin"))],
    ) -> dict[str, str]:
        return {"client_id": str(caller.client_id), "allocation_id": str(body.allocation_id)}

    @router.post("/auth/token")
    async def token(grant_type: Annotated[str, Form()]) -> dict[str, str]:
        return {"grant_type": grant_type}

    return router


@pytest.fixture(scope="session")
def issuer() -> TokenIssuer:
    return TokenIssuer([SigningKey.generate()])


def an_app(issuer: TokenIssuer, liveness: Liveness, readiness: Readiness) -> FastAPI:
    return create_app(
        title="things",
        version="1",
        routers=[_routes(), _others()],
        liveness=liveness,
        readiness=readiness,
        verifier=TokenVerifier(LocalKeys(issuer.jwks())),
        body_seconds=0.5,
    )


@pytest.fixture(scope="session")
async def base_url(serve: Serve, issuer: TokenIssuer) -> AsyncIterator[str]:
    """Where an application whose parts are all well is served."""
    async with serve(an_app(issuer, Liveness(), Readiness())) as url:
        yield url


class Client:
    """Sends requests and gives back status, headers and the parsed body."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self.session = session
        self.base_url = base_url

    async def __call__(self, method: str, path: str, **kwargs: Any) -> "Reply":
        url = URL(self.base_url + path, encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **kwargs) as response:
            body = await response.json(content_type=None) if response.content_type.endswith("json") else None
            return Reply(response.status, dict(response.headers), body)


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: Any) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def errors(self) -> dict[str, str]:
        return {error["location"]: error["message"] for error in self.body["errors"]}

    def is_problem(self, slug: str, status: int) -> bool:
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["x-request-id"] == self.body["request_id"]
        assert {"type", "title", "status", "detail", "instance", "request_id"} <= set(self.body)
        return (self.body["type"], self.status, self.body["status"]) == (f"/problems/{slug}", status, status)


@pytest.fixture
async def ask(base_url: str) -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, base_url)
