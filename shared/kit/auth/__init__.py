"""Access tokens: signed JWTs that say which client asks and what it may do.

The issuer signs with the first of its keys and publishes the public halves; everybody verifies with what was published.
Algorithms, issuer and audience are fixed on the verifying side: a token has no say in how it is checked. An external
OpenID provider may stand beside the issuer of the house, or in its place.
"""

from .issuer import TokenIssuer
from .keys import KeySource, LocalKeys, SigningKey, VerifyingKey
from .remote_keys import RemoteKeys
from .scopes import charge, requires
from .trust import trusted_issuers
from .verifier import AnyIssuer, Principal, TokenVerifier, Verifier

__all__ = [
    "AnyIssuer",
    "KeySource",
    "LocalKeys",
    "Principal",
    "RemoteKeys",
    "SigningKey",
    "TokenIssuer",
    "TokenVerifier",
    "Verifier",
    "VerifyingKey",
    "charge",
    "requires",
    "trusted_issuers",
]
