"""Issuing access tokens."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final
from uuid import UUID

from joserfc import jwt

from shared.contracts import new_id

from .keys import ALGORITHM, SigningKey, jwks_of

ISSUER: Final = "portfolio-bus"
AUDIENCE: Final = "portfolio-bus"

#: Seconds for which a token is good; there is no other way to take one back.
LIFETIME: Final = 600


class TokenIssuer:
    """Signs tokens with the first of its keys and publishes all of them, so that keys can be replaced."""

    def __init__(self, keys: Sequence[SigningKey], *, clock: Callable[[], float] = time.time) -> None:
        """Take the keys, newest first; raises ValueError without one. `clock` gives seconds since the epoch."""
        if not keys:
            message = "a TokenIssuer needs at least one key"
            raise ValueError(message)
        self._keys = tuple(keys)
        self._clock = clock

    def issue(self, client_id: UUID, scopes: Collection[str], lifetime: int = LIFETIME) -> str:
        """Give a token that lets the client use these scopes for `lifetime` seconds."""
        now = int(self._clock())
        signing = self._keys[0]
        header = {"alg": ALGORITHM, "kid": signing.kid}
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(client_id),
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + lifetime,
            "jti": str(new_id()),
        }
        return jwt.encode(header, claims, signing.key, algorithms=[ALGORITHM])

    def jwks(self) -> dict[str, object]:
        """Give the public keys as a JSON Web Key Set (RFC 7517)."""
        return jwks_of(self._keys)
