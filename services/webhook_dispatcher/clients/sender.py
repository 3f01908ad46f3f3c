"""One POST to an endpoint, whatever it does: the result is always an attempt, never an exception."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import aiohttp

from services.webhook_dispatcher.domain import Attempt, Outcome, classify, retry_after_seconds

from .dialling import ForbiddenAddressError

RESPONSE_KEPT: Final = 4096
#: the status has decided the outcome by then; only people read the rest
_RESPONSE_SECONDS = 2.0
_ERROR_KEPT = 300
_HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "portfolio-bus-webhooks/1",
    "Accept-Encoding": "identity",
}


class Sender:
    """Posts to endpoints over one shared pool of connections; opened and closed with the process."""

    def __init__(self, connector: Callable[[], aiohttp.TCPConnector], *, timeout: float) -> None:
        #: `timeout` is in seconds, for the whole of an attempt
        self._connector = connector
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool; nothing is dialled yet."""
        self._session = aiohttp.ClientSession(
            connector=self._connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers=_HEADERS,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, within: float | None = None) -> Attempt:
        """Make one attempt: no redirects, no decompression, at most 4 KiB of the answer read.

        `within` in seconds may be shorter than the usual one, never longer.
        """
        began = datetime.now(UTC)
        deadline = asyncio.get_running_loop().time() + min(within or self._timeout, self._timeout)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._opened().post(url, data=body, headers=headers, allow_redirects=False)
            async with response:
                return await _answered(response, began, deadline)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as fault:
            return Attempt(_outcome_of(fault), began, datetime.now(UTC), error=_text_of(fault))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the sender is not open")
        return self._session


async def _answered(response: aiohttp.ClientResponse, began: datetime, deadline: float) -> Attempt:
    kept = await _beginning_of(response, deadline)
    now = datetime.now(UTC)
    outcome = classify(response.status)
    asked = outcome is Outcome.ASKED_TO_WAIT
    wait = retry_after_seconds(response.headers.get("Retry-After"), now) if asked else None
    return Attempt(outcome, began, now, status=response.status, response=kept, retry_after=wait)


async def _beginning_of(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """The first 4 KiB; a connection with more behind them is dropped and not read empty."""
    kept = bytearray()
    try:
        async with asyncio.timeout_at(min(asyncio.get_running_loop().time() + _RESPONSE_SECONDS, deadline)):
            while len(kept) <= RESPONSE_KEPT and (chunk := await response.content.read(RESPONSE_KEPT + 1 - len(kept))):
                kept += chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        response.close()
    if not response.content.at_eof():
        response.close()
    return bytes(kept[:RESPONSE_KEPT])


#: The first that fits; what fits none broke off.
_OUTCOMES: Final[Sequence[tuple[type[Exception], Outcome]]] = (
    (TimeoutError, Outcome.TIMED_OUT),
    (aiohttp.ClientConnectorDNSError, Outcome.DNS_FAILED),
    (aiohttp.ClientSSLError, Outcome.TLS_FAILED),
    (aiohttp.ClientConnectorError, Outcome.CONNECT_FAILED),
    (aiohttp.ClientResponseError, Outcome.INVALID_ANSWER),
    (aiohttp.InvalidURL, Outcome.NOT_SENT),
)


def _outcome_of(fault: Exception) -> Outcome:
    if _caused_by_forbidden_address(fault):
        return Outcome.FORBIDDEN_ADDRESS
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(fault, kind)), Outcome.BROKEN_OFF)


def _caused_by_forbidden_address(fault: BaseException) -> bool:
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return True
        cause = cause.__cause__
    return False


def _text_of(fault: Exception) -> str:
    text = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
    return "".join(character if character.isprintable() else " " for character in text)[:_ERROR_KEPT]
