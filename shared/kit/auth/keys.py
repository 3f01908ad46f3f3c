"""The keys behind access tokens: made and kept by the issuer, and published."""

import json
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

ALGORITHM: Final = "ES256"
_CURVE: Final = "P-256"

#: Every algorithm that an issuer may sign with, and the keys that fit it: `none` and whatever needs a shared secret
#: are not among them, so that no setting can let them in.
ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
        "ES256": ("EC", _CURVE),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        **dict.fromkeys(("EdDSA", "Ed25519"), ("OKP", "Ed25519")),
    }
)
_KINDS: Final[Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]]] = MappingProxyType(
    {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
)
_SMALLEST_RSA: Final = 2048
#: RFC 9864 gave the algorithm of that curve a name of its own.
_SAME: Final = frozenset({"EdDSA", "Ed25519"})


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key with the algorithms that it may verify: the key decides on these, and not the token."""

    key: RSAKey | ECKey | OKPKey
    algorithms: tuple[str, ...]


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

    def known(self, kid: str) -> VerifyingKey | None:
        """Give the key of that name if it is at hand."""

    async def find(self, kid: str) -> VerifyingKey | None:
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

    def known(self, kid: str) -> VerifyingKey | None:
        """Give the key of that name."""
        return self._keys.get(kid)

    async def find(self, kid: str) -> VerifyingKey | None:
        """Give the key of that name."""
        return self._keys.get(kid)


def usable_keys(
    jwks: Any,  # noqa: ANN401 - comes from outside
    algorithms: Collection[str] = (ALGORITHM,),
) -> dict[str, VerifyingKey]:
    """Give the keys that can verify tokens signed by `algorithms`; others may stand beside them in an issuer's set."""
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    usable = {}
    for jwk in listed if isinstance(listed, list) else ():
        fitting = _fitting(jwk, algorithms) if isinstance(jwk, dict) else ()
        key = _imported(jwk) if fitting else None
        if key is not None and key.kid is not None:
            usable[key.kid] = VerifyingKey(key, fitting)
    return usable


def _fitting(jwk: Mapping[str, Any], algorithms: Collection[str]) -> tuple[str, ...]:
    kind = (jwk.get("kty"), jwk.get("crv") if jwk.get("kty") != "RSA" else None)
    if jwk.get("use", "sig") != "sig":
        return ()
    only = jwk.get("alg")
    named: Collection[object] = _SAME if only in tuple(_SAME) else (only,)
    return tuple(
        name for name in sorted(algorithms) if ALGORITHMS.get(name) == kind and (only is None or name in named)
    )


def _imported(jwk: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    try:
        with warnings.catch_warnings():
            # Of keys that are too small, which are passed over here.
            warnings.simplefilter("ignore", SecurityWarning)
            key = _KINDS[jwk["kty"]].import_key(jwk)
            size = key.public_key.key_size if isinstance(key, RSAKey) else _SMALLEST_RSA
            key.ensure_kid()
    except (JoseError, ValueError, TypeError):
        return None
    return key if size >= _SMALLEST_RSA else None
