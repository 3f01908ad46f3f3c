"""Idempotency-Key: a creating request that is sent again has one effect and gets the same answer."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Final
from uuid import UUID

import orjson
from fastapi import Depends, Header
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from shared.kit import idempotency
from shared.kit.auth import Principal
from shared.kit.cause import Cause
from shared.kit.idempotency import AskedOnce, KeptAnswer
from shared.kit.refusals import Conflict, FieldError, InvalidRequest, Refused, Unprocessable
from shared.kit.unit_of_work import Database, UnitOfWork

from .headers import cause_of, etag_of

#: What a client finds on an answer that it has been given before.
REPLAYED: Final = "Idempotency-Replayed"

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_AGAIN_AFTER = 1.0


class MissingIdempotencyKey(Refused):
    """The header Idempotency-Key is required: a UUID, new for every resource that is to be made."""

    slug = "missing_idempotency_key"


class IdempotencyKeyReused(Unprocessable):
    """This Idempotency-Key has been used with another body."""


class IdempotencyKeyInFlight(Conflict):
    """A request with this Idempotency-Key is under way; send it again to get its answer."""


class Replay(Exception):  # noqa: N818 - it is no error: the answer is there already
    """The request was answered before; the application sends `response` instead of going on."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status_code)


class Creation:
    """A request to make something, with what it takes to make it only once."""

    def __init__(self, principal: Principal, cause: Cause, asked: AskedOnce | None, body_hash: bytes) -> None:
        #: who asks
        self.principal = principal
        #: why whatever is made will have been made
        self.cause = cause
        self._asked = asked
        self._body_hash = body_hash
        self._kept = False

    @asynccontextmanager
    async def unit_of_work(self, database: Database) -> AsyncIterator[UnitOfWork]:
        """One transaction for the effect and its answer; the block must end with `keep`.

        May be entered again after it has been rolled back. Raises Replay for a request that was answered before,
        IdempotencyKeyReused, IdempotencyKeyInFlight.
        """
        async with database.unit_of_work(self.cause) as work:
            self._kept = False
            if self._asked is not None:
                await self._lock(work, self._asked)
            yield work
            if not self._kept:
                message = "a creation's unit of work has ended without keep()"
                raise LookupError(message)

    async def replay(self, database: Database) -> None:
        """Raise Replay if the request was answered before; for routes that wait for anything before they decide.

        Raises IdempotencyKeyReused. What it does not find may still be answered when the unit of work begins.
        """
        if self._asked is None:
            return
        async with database.reading() as connection:
            answer = await idempotency.kept(connection, self._asked)
        if answer is not None:
            self._replay(answer)

    def keep(
        self,
        work: UnitOfWork,
        shown: BaseModel,
        *,
        location: str,
        revision: int | None = None,
        status: int = 201,
        secrets: Collection[str] = (),
    ) -> Response:
        """Give the answer that shows `shown`; it is kept with the commit, for whoever sends the request again.

        `revision` becomes the ETag. `secrets` names fields of `shown`, as they stand in the JSON, that a replay shows
        as null.
        """
        self._kept = True
        body = shown.model_dump_json(by_alias=True).encode()
        etag = None if revision is None else etag_of(revision)
        answer = KeptAnswer(self._body_hash, status, location, etag, body)
        if self._asked is not None:
            without = body if not secrets else orjson.dumps(orjson.loads(body) | dict.fromkeys(secrets))
            kept = KeptAnswer(self._body_hash, status, location, etag, without)
            work.accompany(idempotency.kept_with_events(self._asked, kept))
        return _response(answer)

    async def _lock(self, work: UnitOfWork, asked: AskedOnce) -> None:
        answer, is_free = await idempotency.kept_or_locked(work.connection, asked)
        if answer is not None:
            self._replay(answer)
        if not is_free:
            raise IdempotencyKeyInFlight(retry_after=_AGAIN_AFTER)

    def _replay(self, answer: KeptAnswer) -> None:
        if answer.body_hash != self._body_hash:
            raise IdempotencyKeyReused
        raise Replay(_response(answer, {REPLAYED: "true"}))


def creating(
    principal: Callable[..., Awaitable[Principal]], *, key_required: bool = True
) -> Callable[..., Awaitable[Creation]]:
    """Make the dependency of a creating route: its caller, as `principal` finds it, and its Idempotency-Key.

    `principal` is a dependency such as `requires("accounts:admin")`. Raises what it raises, then
    MissingIdempotencyKey, and InvalidRequest for what is no UUID.
    """
    given = Header(
        alias="Idempotency-Key",
        description=(
            "A UUID, new for every resource that is to be made. A request that is sent again under the same key is"
            " answered as it was the first time, for 24 hours."
        ),
        json_schema_extra={"format": "uuid", "pattern": f"^{_UUID.pattern}$", "x-required": key_required},
        examples=["0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e"],
    )

    async def creation(
        request: Request,
        caller: Annotated[Principal, Depends(principal)],
        idempotency_key: Annotated[str | None, given] = None,
    ) -> Creation:
        key = _key_in(idempotency_key)
        if key is None and key_required:
            raise MissingIdempotencyKey
        asked = None if key is None else AskedOnce(caller.client_id, request.method, _path_of(request), key)
        digest = sha256(await request.body()).digest()
        return Creation(caller, cause_of(request, caller), asked, digest)

    return creation


def _key_in(header: str | None) -> UUID | None:
    if header is None:
        return None
    if not _UUID.fullmatch(header):
        raise InvalidRequest(errors=[FieldError("header.idempotency-key", "must be a UUID, 36 characters long")])
    return UUID(header)


def _path_of(request: Request) -> str:
    # An id may be spelled in several ways, and whoever asks again may do so in another one.
    segments: list[str] = request.scope["path"].split("/")
    return "/".join(map(_canonical, segments))


def _canonical(segment: str) -> str:
    try:
        return str(UUID(segment))
    except ValueError:
        return segment


def _response(answer: KeptAnswer, more: dict[str, str] | None = None) -> Response:
    headers = {"Location": answer.location, "ETag": answer.etag}
    sent = {name: value for name, value in headers.items() if value is not None}
    return Response(answer.body, answer.status, {**sent, **(more or {})}, media_type="application/json")


async def answer_with_replay(_: Request, replay: Exception) -> Response:
    """Send what was answered before, in the shape in which FastAPI wants its handlers."""
    if not isinstance(replay, Replay):
        raise replay
    return replay.response
