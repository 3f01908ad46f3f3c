"""What is let in: addresses and headers that can be read, bodies of a known kind, bounded in size and time (P9)."""

import asyncio
from collections.abc import Collection
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kit.refusals import SLUGS, FieldError, InvalidRequest

from .headers import header_in

_HEADERS_LIMIT: Final = 32 * 1024
#: Parameters that a query may have; each is parsed, checked and searched through.
_PARAMETERS_LIMIT: Final = 1000
_FORM: Final = "application/x-www-form-urlencoded"


class RequestIntake:
    """Refuses what cannot be read or is too large, before or while it is read."""

    def __init__(self, app: ASGIApp, *, body_limit: int, body_seconds: float, form_paths: Collection[str]) -> None:
        """Let bodies of up to `body_limit` bytes in, each within `body_seconds`; forms only at `form_paths`."""
        self._app = app
        self._body_limit = body_limit
        self._body_seconds = body_seconds
        self._form_paths = frozenset(form_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a guarded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _check_headers(scope)
        _check_text("path", scope.get("raw_path") or b"")
        _check_text("query", scope["query_string"])
        _check_parameters(scope["query_string"])
        body = _Body(scope, receive, limit=self._body_limit, seconds=self._body_seconds)
        media = _media_type(scope)
        if scope["path"] in self._form_paths:
            if media != _FORM and _has_a_body(scope):
                # At once: FastAPI does not even read what is no form, and would miss the fields instead.
                raise _unsupported(_FORM)
        elif _is_json(media):
            # FastAPI hands on the bytes of a body without a content type, and our models read these themselves.
            # In the scope itself: a copy would keep the route that is found from the frame's log line.
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        else:
            body.refusal = body.refusal or _unsupported("application/json")
        await self._app(scope, body.receive, send)


class _Body:
    """A request's body while it is read. Its refusals are HTTPExceptions: FastAPI hides all others behind a 400."""

    def __init__(self, scope: Scope, receive: Receive, *, limit: int, seconds: float) -> None:
        self.refusal: HTTPException | None = None
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._deadline: float | None = None
        self._read = 0
        self._complete = False
        declared = header_in(scope["headers"], b"content-length") or b""
        if declared.isdigit() and int(declared) > limit:
            self.refusal = self._too_large()

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        message = await self._within_the_deadline()
        if message["type"] != "http.request":
            return message
        self._read += len(message.get("body", b""))
        if self._read and self.refusal is not None:
            raise self.refusal
        if self._read > self._limit:
            raise self._too_large()
        self._complete = not message.get("more_body", False)
        return message

    async def _within_the_deadline(self) -> Message:
        self._deadline = self._deadline or asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError as fault:
            refusal = _refusal("request_timeout", f"The body did not arrive within {self._seconds:g} s.")
            raise refusal from fault

    def _too_large(self) -> HTTPException:
        return _refusal("payload_too_large", f"The body is larger than {self._limit} bytes.")


def _refusal(slug: str, detail: str) -> HTTPException:
    return HTTPException(SLUGS[slug][0], detail)


def _unsupported(wanted: str) -> HTTPException:
    return _refusal("unsupported_media_type", f"Send {wanted}.")


def _has_a_body(scope: Scope) -> bool:
    length = header_in(scope["headers"], b"content-length")
    return length not in {None, b"0"} or header_in(scope["headers"], b"transfer-encoding") is not None


def _check_headers(scope: Scope) -> None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > _HEADERS_LIMIT:
        refusal = _refusal("header_fields_too_large", f"The headers are larger than {_HEADERS_LIMIT} bytes.")
        raise refusal


def _check_text(location: str, raw: bytes) -> None:
    if b"%" not in raw and raw.isascii():
        return
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as fault:
        error = FieldError(location, "is not UTF-8")
        raise InvalidRequest(errors=[error]) from fault
    if "\0" in text:
        raise InvalidRequest(errors=[FieldError(location, "must not contain the character NUL")])


def _check_parameters(query: bytes) -> None:
    if query.count(b"&") >= _PARAMETERS_LIMIT:
        raise InvalidRequest(errors=[FieldError("query", f"has more than {_PARAMETERS_LIMIT} parameters")])


def _media_type(scope: Scope) -> str:
    """Give the media type of the body; empty for what cannot be read here, compressed bodies among it."""
    encoding = header_in(scope["headers"], b"content-encoding") or b"identity"
    content_type = (header_in(scope["headers"], b"content-type") or b"").decode("latin-1").lower()
    media, *parameters = (part.strip() for part in content_type.split(";"))
    foreign = [part for part in parameters if part.startswith("charset=") and part[8:].strip('"') != "utf-8"]
    return "" if foreign or encoding.lower() != b"identity" else media


def _is_json(media: str) -> bool:
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))
