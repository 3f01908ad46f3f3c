"""One POST to an endpoint, whatever it does: the result is always an attempt, never an exception."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from services.webhook_dispatcher.domain import Attempt, Outcome, classify, retry_after_seconds

from .dialling import Connector, ForbiddenAddressError, NameNotFoundError, NotConnectedError, NotTrustedError
from .exchange import Answer, Exchange, InvalidAnswerError
from .targets import Origin, target_of

_ERROR_KEPT = 300


class Sender:
    """Posts to endpoints over one shared pool of connections; opened and closed with the process."""

    def __init__(self, connector: Callable[[], Connector], *, timeout: float) -> None:
        #: `timeout` is in seconds, for the whole of an attempt
        self._make_connector = connector
        self._timeout = timeout
        self._connector: Connector | None = None

    async def open(self) -> None:
        """Make the pool; nothing is dialled yet."""
        self._connector = self._make_connector()

    async def close(self) -> None:
        """Close all connections."""
        if self._connector is not None:
            self._connector.close()
            self._connector = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, within: float | None = None) -> Attempt:
        """Make one attempt: no redirects, no decompression, at most 4 KiB of the answer read.

        `within` in seconds may be shorter than the usual one, never longer.
        """
        began = datetime.now(UTC)
        deadline = asyncio.get_running_loop().time() + min(within or self._timeout, self._timeout)
        try:
            target = target_of(url)
            request = target.request(headers, body)
        except ValueError as fault:
            return Attempt(Outcome.NOT_SENT, began, datetime.now(UTC), error=_text_of(fault))
        try:
            answer = await self._answer(self._opened(), target.origin, request, deadline)
        except (OSError, InvalidAnswerError) as fault:
            return Attempt(_outcome_of(fault), began, datetime.now(UTC), error=_text_of(fault))
        return _attempt_of(answer, began)

    async def _answer(self, connector: Connector, origin: Origin, request: bytes, deadline: float) -> Answer:
        exchange = connector.idle(origin) or await self._dialled(connector, origin, deadline)
        try:
            return await exchange.ask(request, deadline)
        finally:
            connector.take_back(origin, exchange)

    @staticmethod
    async def _dialled(connector: Connector, origin: Origin, deadline: float) -> Exchange:
        async with asyncio.timeout_at(deadline):
            return await connector.dial(origin)

    def _opened(self) -> Connector:
        if self._connector is None:
            raise RuntimeError("the sender is not open")
        return self._connector


def _attempt_of(answer: Answer, began: datetime) -> Attempt:
    now = datetime.now(UTC)
    outcome = classify(answer.status)
    wait = retry_after_seconds(answer.retry_after, now) if outcome is Outcome.ASKED_TO_WAIT else None
    return Attempt(outcome, began, now, status=answer.status, response=answer.body, retry_after=wait)


#: The first that fits; what fits none broke off.
_OUTCOMES: Final[Sequence[tuple[type[Exception], Outcome]]] = (
    (ForbiddenAddressError, Outcome.FORBIDDEN_ADDRESS),
    (NameNotFoundError, Outcome.DNS_FAILED),
    (NotTrustedError, Outcome.TLS_FAILED),
    (NotConnectedError, Outcome.CONNECT_FAILED),
    (InvalidAnswerError, Outcome.INVALID_ANSWER),
    (TimeoutError, Outcome.TIMED_OUT),
)


def _outcome_of(fault: Exception) -> Outcome:
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(fault, kind)), Outcome.BROKEN_OFF)


def _text_of(fault: Exception) -> str:
    text = f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
    return "".join(character if character.isprintable() else " " for character in text)[:_ERROR_KEPT]
