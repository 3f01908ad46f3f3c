"""Access tokens for endpoints that ask for them: OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp
import orjson

from services.webhook_dispatcher.domain import OAuth2, trust_in

from .dialling import ForbiddenAddressError

#: of the answer, and of a token
_MOST_BYTES: Final = 64 * 1024
_LONGEST_TOKEN: Final = 8 * 1024
#: how long a token is taken to be good that does not say so, in seconds; and how long any is kept at most
_UNSAID: Final = 300.0
_LONGEST: Final = 24 * 3600.0
#: it is fetched anew so many seconds before its end, and after this share of its time if that comes sooner
_BEFORE_ITS_END: Final = 60.0
_SHARE_USED: Final = 0.9


class TokenNotGivenError(Exception):
    """No access token could be got; the text says why, without anything secret."""


@dataclass(frozen=True)
class Token:
    """An access token."""

    value: str = field(repr=False)
    #: seconds, from when it was asked for, in which it is to be used
    good_for: float


class TokenEndpoints:
    """Fetches tokens, each over a connection of its own: that is once in a while, and the address is checked too."""

    def __init__(self, connector: Callable[[ssl.SSLContext | None], aiohttp.TCPConnector]) -> None:
        self._connector = connector

    async def fetch(self, wanted: OAuth2, ca_bundle: str | None, within: float) -> Token:
        """Ask for a token, for `within` seconds at most; raises TokenNotGivenError."""
        trust = None if ca_bundle is None else trust_in(ca_bundle)
        try:
            async with asyncio.timeout(within), aiohttp.ClientSession(connector=self._connector(trust)) as session:
                return await _asked(session, wanted)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as fault:
            raise TokenNotGivenError(_text_of(fault)) from fault


async def _asked(session: aiohttp.ClientSession, wanted: OAuth2) -> Token:
    form = {"grant_type": "client_credentials", **({} if wanted.scope is None else {"scope": wanted.scope})}
    # Section 2.3.1: both are form-encoded before they are put together.
    shown = f"{quote_plus(wanted.client_id)}:{quote_plus(wanted.client_secret)}"
    headers = {"Authorization": f"Basic {b64encode(shown.encode()).decode()}", "Accept": "application/json"}
    async with session.post(wanted.token_url, data=form, headers=headers, allow_redirects=False) as response:
        if response.status != HTTPStatus.OK:
            raise TokenNotGivenError(f"the token endpoint answered {response.status}")
        kept = bytearray()
        while chunk := await response.content.read(_MOST_BYTES):
            kept += chunk
            if len(kept) > _MOST_BYTES:
                raise TokenNotGivenError("the token endpoint's answer is too large")
    return _token_in(bytes(kept))


def _token_in(answer: bytes) -> Token:
    try:
        read = orjson.loads(answer)
    except orjson.JSONDecodeError as fault:
        raise TokenNotGivenError("the token endpoint's answer is no JSON") from fault
    told: dict[str, Any] = read if isinstance(read, dict) else {}
    value, kind, seconds = told.get("access_token"), told.get("token_type"), told.get("expires_in")
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TOKEN or not _is_visible(value):
        raise TokenNotGivenError("the token endpoint's answer holds no token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenNotGivenError("the token endpoint's token is no bearer token")
    return Token(value, _used_for(float(seconds) if isinstance(seconds, int | float) else _UNSAID))


def _used_for(lasting: float) -> float:
    return min(max(lasting, 0.0) * _SHARE_USED, max(lasting - _BEFORE_ITS_END, lasting / 2), _LONGEST)


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _text_of(fault: Exception) -> str:
    if isinstance(fault, TimeoutError):
        return "the token endpoint did not answer in time"
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return f"the token endpoint cannot be reached: {cause}"
        cause = cause.__cause__
    return f"the token endpoint cannot be reached: {type(fault).__name__}"
