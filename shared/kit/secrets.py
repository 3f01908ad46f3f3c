"""Secrets at rest: sealed where they must be read again, hashed where they must only be recognised."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

_SCHEME = "sha256"


class UnsealableError(Exception):
    """What was stored can be opened with none of the keys."""


class SecretBox:
    """Seals bytes under the first of several Fernet keys and opens what any of them has sealed.

    A key is replaced by putting the new one in front, sealing everything again with `rotate`, and then taking the old
    one away.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Take keys of 32 bytes in URL-safe base64; raises ValueError without one or with a malformed one."""
        if not keys:
            message = "a SecretBox needs at least one key"
            raise ValueError(message)
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, secret: bytes) -> bytes:
        """Encrypt and authenticate; the result is ASCII and about 4/3 as long plus 100 bytes."""
        return self._fernet.encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """Give back what was sealed; raises UnsealableError if it was not sealed under these keys or was changed."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as fault:
            raise UnsealableError from fault

    def rotate(self, sealed: bytes) -> bytes:
        """Seal again under the first key; raises UnsealableError like `open`."""
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken as fault:
            raise UnsealableError from fault


def new_sealing_key() -> str:
    """Make a key for a SecretBox."""
    return Fernet.generate_key().decode()


def new_secret() -> str:
    """Make a client's secret: 32 random bytes in URL-safe base64, 43 characters."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """Give what is stored of a client's secret, to recognise it by.

    One salted SHA-256 and no slow password hash: slowness makes up for the few bits of a password that a person has
    chosen. These secrets are 256 random bits of ours, which nobody can search at any speed, and a slow hash would hand
    every caller of the token endpoint a way to burn our processor. The salt keeps equal secrets from looking equal.
    """
    salt = secrets.token_hex(16)
    return f"{_SCHEME}${salt}${_digest(salt, secret)}"


def verify_secret(secret: str, hashed: str) -> bool:
    """Say whether `hashed` came from `secret`, in a time that does not depend on how much of it is right."""
    scheme, _, rest = hashed.partition("$")
    salt, _, digest = rest.partition("$")
    return scheme == _SCHEME and hmac.compare_digest(digest.encode(), _digest(salt, secret).encode())


def _digest(salt: str, secret: str) -> str:
    # What a stranger sends may hold lone surrogates, which plain UTF-8 refuses.
    return sha256(salt.encode() + secret.encode("utf-8", "surrogatepass")).hexdigest()
