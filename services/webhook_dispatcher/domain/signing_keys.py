"""The keys that sign for one subscription: its secret, its Ed25519 key, and for a while the ones before them.

Written down, to be sealed, as one line for each key: `whsec_…` for v1 or `whsk_…` for v1a, and behind a blank the Unix
time at which it stops signing, where it was replaced.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.kit.refusals import Conflict

from .config import Scheme
from .signing import new_signing_secret, signature_of

PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
_SEED_BYTES: Final = 32
#: how many keys of a scheme may sign at once: the newest, and those that still overlap with it
MAX_KEYS: Final = 5


class TooManyKeys(Conflict):
    """Too many secrets of this subscription sign already; wait for the overlaps to end, or rotate without one."""


@dataclass(frozen=True)
class SigningKey:
    """One key; `until` is the Unix time at which it stops signing, None for a present one."""

    key: str = field(repr=False)
    until: int | None = None

    @property
    def scheme(self) -> Scheme:
        """The scheme that it signs by."""
        return Scheme.V1A if self.key.startswith(PRIVATE) else Scheme.V1

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        raw = b64decode(self.key.removeprefix(PRIVATE))
        return Ed25519PrivateKey.from_private_bytes(raw[:_SEED_BYTES])

    @property
    def public_key(self) -> str:
        """What verifies v1a: `whpk_` and 32 bytes in base64."""
        return PUBLIC + b64encode(self._private.public_key().public_bytes_raw()).decode()

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """One signature, as it stands in the header."""
        if self.scheme is Scheme.V1:
            return signature_of(self.key, message_id, timestamp, body)
        signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
        return f"v1a,{b64encode(self._private.sign(signed)).decode()}"


@dataclass(frozen=True)
class SigningKeys:
    """The keys of one subscription."""

    #: what its client has been shown last
    secret: str = field(repr=False)
    #: an Ed25519 key where v1a is asked for, and whatever still signs beside the present keys
    more: Sequence[SigningKey] = field(default=(), repr=False)

    @classmethod
    def new(cls, schemes: Sequence[Scheme]) -> "SigningKeys":
        """Make the keys that these schemes need."""
        return cls(new_signing_secret()).with_schemes(schemes)

    @classmethod
    def from_bytes(cls, written: bytes) -> "SigningKeys":
        """Read what `to_bytes` has written; a secret alone is what there was before there were more."""
        first, *others = written.decode().splitlines()
        return cls(first, tuple(_key_in(line) for line in others))

    def to_bytes(self) -> bytes:
        """Write them down, to be sealed."""
        lines = (each.key if each.until is None else f"{each.key} {each.until}" for each in self.more)
        return "\n".join([self.secret, *lines]).encode()

    @property
    def public_key(self) -> str | None:
        """What verifies v1a at present; None where nothing is signed by it."""
        present = self._present()
        return present.public_key if present else None

    @property
    def former_until(self) -> tuple[datetime, datetime] | None:
        """When the first and the last of the replaced keys stop signing; None where none signs."""
        ends = [datetime.fromtimestamp(each.until, UTC) for each in self.more if each.until is not None]
        return (min(ends), max(ends)) if ends else None

    def further_signatures(self, message_id: str, timestamp: int, body: bytes) -> Iterator[str]:
        """The signatures besides the secret's own, of all keys that sign at `timestamp` (Unix seconds)."""
        for each in self.more:
            if each.until is None or timestamp < each.until:
                yield each.sign(message_id, timestamp, body)

    def with_schemes(self, schemes: Sequence[Scheme]) -> "SigningKeys":
        """Give the keys with an Ed25519 key where v1a is asked for, and without any where it is not."""
        if Scheme.V1A not in schemes:
            return replace(self, more=tuple(each for each in self.more if each.scheme is Scheme.V1))
        if self._present() is not None:
            return self
        return replace(self, more=(_new_private_key(), *self.more))

    def rotated(self, overlap: timedelta, now: datetime) -> "SigningKeys":
        """Give new keys, beside which the present ones sign for `overlap`; an end that came sooner stays.

        Raises TooManyKeys.
        """
        end = int((now + overlap).timestamp())
        present = [SigningKey(self.secret), *self.without_ended(now).more]
        former = [replace(each, until=min(each.until or end, end)) for each in present] if overlap else []
        for scheme in Scheme:
            if sum(each.scheme is scheme for each in former) >= MAX_KEYS:
                raise TooManyKeys
        private = [_new_private_key()] if self._present() else []
        return SigningKeys(new_signing_secret(), (*private, *former))

    def without_ended(self, now: datetime) -> "SigningKeys":
        """Forget the keys that have stopped signing."""
        kept = (each for each in self.more if each.until is None or each.until > now.timestamp())
        return replace(self, more=tuple(kept))

    def _present(self) -> SigningKey | None:
        return next((each for each in self.more if each.scheme is Scheme.V1A and each.until is None), None)


def _key_in(line: str) -> SigningKey:
    key, _, until = line.partition(" ")
    return SigningKey(key, int(until) if until else None)


def _new_private_key() -> SigningKey:
    # As libsodium writes an Ed25519 key, and the libraries of the specification's authors with it: seed, then public.
    private = Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(_SEED_BYTES))
    raw = private.private_bytes_raw() + private.public_key().public_bytes_raw()
    return SigningKey(PRIVATE + b64encode(raw).decode())
