"""Endpoints that are approached with more than the signed request: headers, credentials, certificates of their own."""

import asyncio
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.clients import Sender, Token, TokenEndpoints, TokenNotGivenError, TrustingSenders
from services.webhook_dispatcher.domain import Access, Attempt, BasicAuth, Claimed, OAuth2, Outcome
from shared.kit.secrets import SecretBox, UnsealableError
from shared.kit.unit_of_work import Database

T = TypeVar("T")

_KEPT: Final = 1000
_UNAUTHORISED: Final = 401

#: subscription and revision
_Key = tuple[UUID, int]


class Approach:
    """One endpoint's access, opened, with the token that it is approached with at present."""

    def __init__(self, access: Access, tokens: TokenEndpoints, clock: Callable[[], float] = time.monotonic) -> None:
        self.access = access
        self._tokens = tokens
        self._clock = clock
        self._token: Token | None = None
        self._use_until = 0.0
        self._fetching: asyncio.Task[Token] | None = None

    async def authorization(self, within: float) -> tuple[dict[str, str], bool]:
        """The header that signs in, and whether it holds a token that was fetched for this; raises TokenNotGivenError.

        However many ask at once, one token is fetched, for `within` seconds at most.
        """
        match self.access.auth:
            case BasicAuth(username, password):
                return {"Authorization": f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"}, True
            case OAuth2() as wanted:
                fresh = self._token is None or self._clock() >= self._use_until
                token = await self._fetched(wanted, within) if fresh or self._token is None else self._token
                return {"Authorization": f"Bearer {token.value}"}, fresh
            case None:
                return {}, True

    def forget(self, header: Mapping[str, str]) -> None:
        """The endpoint does not take this token; another one may be there already."""
        if self._token is not None and header == {"Authorization": f"Bearer {self._token.value}"}:
            self._token = None

    async def _fetched(self, wanted: OAuth2, within: float) -> Token:
        if self._fetching is None:
            self._fetching = _heard(asyncio.create_task(self._fetch(wanted, within)))
        # One that gives up does not take the token away from the others.
        return await asyncio.shield(self._fetching)

    async def _fetch(self, wanted: OAuth2, within: float) -> Token:
        asked_at = self._clock()
        try:
            self._token = token = await self._tokens.fetch(wanted, self.access.ca_bundle, within)
            self._use_until = asked_at + token.good_for
            return token
        finally:
            self._fetching = None


class Accesses:
    """The approaches to endpoints, each opened once per revision of its subscription."""

    def __init__(self, database: Database, box: SecretBox, senders: TrustingSenders, tokens: TokenEndpoints) -> None:
        self._database = database
        self._box = box
        self._senders = senders
        self._tokens = tokens
        self._kept: OrderedDict[_Key, asyncio.Task[Approach]] = OrderedDict()

    async def post(self, sender: Sender, claimed: Claimed, signed: Mapping[str, str], within: float) -> Attempt:
        """Make one attempt, within so many seconds in all; a token that is not taken is fetched anew once."""
        began, deadline = datetime.now(UTC), time.monotonic() + within
        try:
            async with asyncio.timeout(within):
                approach = await self._approach_to(claimed)
            signed_in, fresh = await approach.authorization(within)
            attempt = await self._posted(sender, approach.access, claimed, {**signed_in, **signed}, deadline)
            if attempt.status != _UNAUTHORISED or approach.access.auth is None:
                return attempt
            approach.forget(signed_in)
            if fresh:
                return attempt
            signed_in, _ = await approach.authorization(max(deadline - time.monotonic(), 0.0))
            return await self._posted(sender, approach.access, claimed, {**signed_in, **signed}, deadline)
        except UnsealableError:
            fault, outcome = "the headers and credentials cannot be opened with the present keys", Outcome.NOT_SENT
        except TimeoutError:
            fault, outcome = "the headers and credentials could not be read in time", Outcome.NOT_SENT
        except TokenNotGivenError as refused:
            fault, outcome = f"no access token: {refused}", Outcome.SIGN_IN_FAILED
        return Attempt(outcome, began, datetime.now(UTC), error=fault)

    async def close(self) -> None:
        """Close all connections."""
        await self._senders.close()

    async def _posted(
        self, sender: Sender, access: Access, claimed: Claimed, headers: Mapping[str, str], deadline: float
    ) -> Attempt:
        left = max(deadline - time.monotonic(), 0.001)
        sent = {**access.headers, **headers}
        if access.ca_bundle is None:
            return await sender.post(claimed.url, sent, claimed.body, within=left)
        async with self._senders.of(access.ca_bundle) as trusting:
            return await trusting.post(claimed.url, sent, claimed.body, within=left)

    async def _approach_to(self, claimed: Claimed) -> Approach:
        key = claimed.subscription_id, claimed.access_revision or 0
        if key not in self._kept:
            self._kept[key] = _heard(asyncio.create_task(self._opened(claimed.subscription_id)))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        try:
            return await asyncio.shield(self._kept[key])
        except Exception:
            # It may be there the next time.
            self._kept.pop(key, None)
            raise

    async def _opened(self, subscription_id: UUID) -> Approach:
        async with self._database.reading() as connection:
            sealed = await storage.sealed_access_of(connection, subscription_id)
        access = Access() if sealed is None else Access.from_bytes(self._box.open(sealed))
        return Approach(access, self._tokens)


def _heard(task: "asyncio.Task[T]") -> "asyncio.Task[T]":
    """Let a task fail in silence where everybody who waited for it has given up."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
