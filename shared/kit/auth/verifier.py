"""Verifying access tokens."""

import json
import math
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning

from shared.kit.refusals import Unauthorised, Unavailable

from .issuer import AUDIENCE, ISSUER
from .keys import KeySource, VerifyingKey

_TOKEN_LIMIT: Final = 8 * 1024
_REMEMBERED: Final = 4096
_MALFORMED: Final = (JoseError, ValueError, TypeError, RecursionError)


class InvalidToken(Unauthorised):
    """The access token is not valid."""


class ExpiredToken(Unauthorised):
    """The access token has expired."""


class KeysNotKnown(Unavailable):
    """Access tokens cannot be verified yet: the issuer's keys are not known."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what it may do."""

    client_id: UUID
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Say whether the scope is granted; `x:admin` implies `x:read`."""
        area, _, level = scope.partition(":")
        return scope in self.scopes or (level == "read" and f"{area}:admin" in self.scopes)


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    kid: str
    key: VerifyingKey
    expires: float


class Verifier(Protocol):
    """Says whose token it is."""

    @property
    def ready(self) -> bool:
        """Whether tokens can be verified."""

    async def verify(self, token: str) -> Principal:
        """Give the token's principal; raises Unauthorised, or Unavailable while there is no key at all."""


class TokenVerifier:
    """Says whose token it is, or refuses it."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        client_claim: str = "sub",
        leeway: int = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take tokens of `issuer` for `audience`, up to `leeway` seconds after their end (clocks differ).

        `client_claim` names the client, by its UUID.
        """
        self.issuer = issuer
        self._keys = keys
        self._client_claim = client_claim
        self._leeway = leeway
        self._clock = clock
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=leeway,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )
        # Checking a signature costs more than the rest of a small request, and a client sends one token many times.
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    @property
    def ready(self) -> bool:
        """Whether tokens can be verified."""
        return self._keys.ready

    async def verify(self, token: str) -> Principal:
        """Give the token's principal; raises Unauthorised, or Unavailable while there is no key at all."""
        if len(token) > _TOKEN_LIMIT or not token.isascii():
            raise InvalidToken
        digest = sha256(token.encode()).digest()
        verified = self._remembered(digest)
        if verified is None:
            verified = await self._verify(token)
            self._remember(digest, verified)
        return verified.principal

    async def _verify(self, token: str) -> _Verified:
        kid = _kid_of(token)
        key = await self._keys.find(kid)
        if key is None:
            raise InvalidToken if self._keys.ready else KeysNotKnown(retry_after=1.0)
        claims = self._checked_claims(token, key)
        try:
            principal = Principal(UUID(claims[self._client_claim]), _scopes_in(claims))
        except (KeyError, ValueError, TypeError, AttributeError) as fault:
            raise InvalidToken from fault
        return _Verified(principal, kid, key, claims["exp"])

    def _checked_claims(self, token: str, key: VerifyingKey) -> dict[str, Any]:
        try:
            # The algorithms are the key's: neither `none` nor an HMAC over the public key gets through.
            claims = _decoded(token, key)
            self._claims.validate(claims)
        except ExpiredTokenError as fault:
            raise ExpiredToken from fault
        except _MALFORMED as fault:
            raise InvalidToken from fault
        return claims

    def _remembered(self, digest: bytes) -> _Verified | None:
        verified = self._verified.get(digest)
        if verified is None:
            return None
        # A key that was taken back takes its tokens along, also where another one has its name now: some providers
        # name all of theirs alike.
        is_over = math.floor(self._clock()) >= verified.expires + self._leeway
        if is_over or self._keys.known(verified.kid) is not verified.key:
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return verified

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified[digest] = verified
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)


def _kid_of(token: str) -> str:
    try:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
    except _MALFORMED as fault:
        raise InvalidToken from fault
    if not isinstance(kid, str):
        raise InvalidToken
    return kid


def _decoded(token: str, key: VerifyingKey) -> dict[str, Any]:
    with warnings.catch_warnings():
        # Providers still call it EdDSA, which RFC 9864 would rather have called Ed25519.
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.decode(token, key.key, algorithms=list(key.algorithms)).claims


def _scopes_in(claims: Mapping[str, Any]) -> frozenset[str]:
    scope = claims.get("scope")
    if scope is None:
        # Some providers have a list, or a string, in a claim of another name.
        listed = claims.get("scp", "")
        scope = " ".join(listed) if isinstance(listed, list) else listed
    if not isinstance(scope, str):
        message = "scope is a string of names parted by spaces (RFC 8693)"
        raise TypeError(message)
    return frozenset(scope.split())


class AnyIssuer:
    """Takes the tokens of several issuers, each verified as its own issuer's alone."""

    def __init__(self, verifiers: Iterable[TokenVerifier]) -> None:
        """Take what any of `verifiers` takes; their issuers differ."""
        self._by_issuer = {verifier.issuer: verifier for verifier in verifiers}

    @property
    def ready(self) -> bool:
        """Whether tokens of any issuer can be verified: one that is away does not stop the others' clients."""
        return any(verifier.ready for verifier in self._by_issuer.values())

    async def verify(self, token: str) -> Principal:
        """Give the token's principal; raises as `TokenVerifier.verify`."""
        verifier = self._by_issuer.get(_issuer_of(token))
        if verifier is None:
            raise InvalidToken
        return await verifier.verify(token)


def _issuer_of(token: str) -> str:
    """Say who the token claims to be of: only which verifier to ask, which then believes nothing of it."""
    if len(token) > _TOKEN_LIMIT or not token.isascii():
        raise InvalidToken
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
        issuer = claims.get("iss")
    except (*_MALFORMED, AttributeError) as fault:
        raise InvalidToken from fault
    if not isinstance(issuer, str):
        raise InvalidToken
    return issuer
