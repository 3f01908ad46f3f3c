"""Secrets at rest: sealed where they must be read again, hashed where they must only be recognised."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

_SCHEME = "sha256"
_ID_DIGITS = 16
_BEHIND_ID = b"."


class UnsealableError(Exception):
    """What was stored can be opened with none of the keys."""


class SecretBox:
    """Seals bytes under the first of several Fernet keys and opens what any of them has sealed.

    What is sealed begins with the id of its key, which is derived from the key: `<16 hex digits>.<Fernet token>`. A
    value without an id was sealed before there were ids, and is tried with all keys.

    A key is replaced by putting the new one in front, sealing everything again with `rotate`, and then taking the old
    one away.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Take keys of 32 bytes in URL-safe base64; raises ValueError without one or with a malformed one."""
        if not keys:
            message = "a SecretBox needs at least one key"
            raise ValueError(message)
        self._keys = {_id_of(key): Fernet(key) for key in keys}
        self._unmarked = MultiFernet(list(self._keys.values()))
        self._first = next(iter(self._keys))

    @property
    def mark(self) -> bytes:
        """What everything begins with that is sealed under the first key."""
        return self._first + _BEHIND_ID

    def seal(self, secret: bytes) -> bytes:
        """Encrypt and authenticate; the result is ASCII and about 4/3 as long plus 120 bytes."""
        return self.mark + self._keys[self._first].encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """Give back what was sealed; raises UnsealableError if it was not sealed under these keys or was changed."""
        key_id, marked, token = sealed.partition(_BEHIND_ID)
        key = self._keys.get(key_id) if marked else self._unmarked
        if key is None:
            raise UnsealableError(f"the key {key_id.decode('ascii', 'replace')[:_ID_DIGITS]} is not here")
        try:
            return key.decrypt(token if marked else sealed)
        except InvalidToken as fault:
            raise UnsealableError from fault

    def rotate(self, sealed: bytes) -> bytes:
        """Seal again under the first key; raises UnsealableError like `open`."""
        return self.seal(self.open(sealed))


def _id_of(key: str) -> bytes:
    # Of 256 random bits; it tells nobody anything about them.
    return sha256(b"sealing key " + key.encode()).hexdigest()[:_ID_DIGITS].encode()


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
