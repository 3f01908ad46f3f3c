"""The keys behind access tokens: made and kept by the issuer, and published."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, Self

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHM: Final = "ES256"
_CURVE: Final = "P-256"


class SigningKey:
    """A private key of the issuer."""

    def __init__(self, key: ECKey) -> None:
        """Wrap a private key of the curve P-256."""
        key.ensure_kid()
        self.key = key

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(ECKey.generate_key(_CURVE))

    @classmethod
    def from_bytes(cls, private: bytes) -> Self:
        """Read what `to_bytes` gave."""
        return cls(ECKey.import_key(json.loads(private)))

    def to_bytes(self) -> bytes:
        """Give the private key, to be sealed and kept."""
        return json.dumps(self.key.as_dict(private=True)).encode()

    @property
    def kid(self) -> str:
        """The key's name in tokens and key sets: its thumbprint (RFC 7638)."""
        return self.key.thumbprint()


def jwks_of(keys: Iterable[SigningKey]) -> dict[str, object]:
    """Give the public halves as a JSON Web Key Set."""
    return {"keys": [{**key.key.as_dict(private=False), "use": "sig", "alg": ALGORITHM} for key in keys]}


class KeySource(Protocol):
    """Where a verifier finds public keys."""

    @property
    def ready(self) -> bool:
        """Whether there is any key to verify with."""

    def known(self, kid: str) -> ECKey | None:
        """Give the key of that name if it is at hand."""

    async def find(self, kid: str) -> ECKey | None:
        """Give the key of that name, asking for it where that makes sense."""


class LocalKeys:
    """The issuer's own keys, in its own process."""

    def __init__(self, jwks: Mapping[str, object]) -> None:
        """Verify with the keys of a JSON Web Key Set, such as `TokenIssuer.jwks` gives."""
        self._keys = usable_keys(jwks)

    @property
    def ready(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys)

    def known(self, kid: str) -> ECKey | None:
        """Give the key of that name."""
        return self._keys.get(kid)

    async def find(self, kid: str) -> ECKey | None:
        """Give the key of that name."""
        return self._keys.get(kid)


def usable_keys(jwks: Any) -> dict[str, ECKey]:  # noqa: ANN401 - comes from outside
    """Give the keys that can verify our tokens; others may stand beside them in an issuer's set."""
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    usable = {}
    for jwk in listed if isinstance(listed, list) else ():
        if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("crv")) != ("EC", _CURVE):
            continue
        if jwk.get("use", "sig") != "sig" or jwk.get("alg", ALGORITHM) != ALGORITHM:
            continue
        try:
            key = ECKey.import_key(jwk)
        except (JoseError, ValueError, TypeError):
            continue
        key.ensure_kid()
        if key.kid is not None:
            usable[key.kid] = key
    return usable
