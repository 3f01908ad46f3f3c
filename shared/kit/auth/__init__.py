"""Access tokens: signed JWTs that say which client asks and what it may do.

The issuer signs with the first of its keys and publishes the public halves; everybody verifies with what was published.
Algorithm, issuer and audience are fixed on the verifying side: a token has no say in how it is checked.
"""

from .issuer import TokenIssuer
from .keys import KeySource, LocalKeys, SigningKey
from .remote_keys import RemoteKeys
from .scopes import requires
from .verifier import Principal, TokenVerifier

__all__ = [
    "KeySource",
    "LocalKeys",
    "Principal",
    "RemoteKeys",
    "SigningKey",
    "TokenIssuer",
    "TokenVerifier",
    "requires",
]
