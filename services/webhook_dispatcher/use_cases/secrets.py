"""Signing keys replaced, and forgotten once they have stopped signing."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import SigningKeys
from shared.kit.secrets import SecretBox, UnsealableError
from shared.kit.unit_of_work import Database, UnitOfWork

from .subscriptions import lock_subscription

#: subscriptions in one transaction: planning waits for their rows meanwhile
_AT_ONCE = 100


@dataclass(frozen=True)
class Rotated:
    """A subscription's new secret and public key, and until when the ones before them sign as well."""

    secret: str = field(repr=False)
    public_key: str | None
    #: None where they stopped at once
    overlap_until: datetime | None


async def rotate_secret(work: UnitOfWork, subscription_id: UUID, overlap_seconds: int, box: SecretBox) -> Rotated:
    """Give the client's subscription new signing keys; the present ones sign beside them for `overlap_seconds` more.

    Raises SubscriptionNotFound, TooManyKeys.
    """
    _, sealed = await lock_subscription(work, subscription_id)
    present = SigningKeys.from_bytes(box.open(sealed.keys))
    keys = present.rotated(timedelta(seconds=overlap_seconds), datetime.now(UTC))
    first, last = keys.former_until or (None, None)
    await storage.replace_keys(work.connection, subscription_id, box.seal(keys.to_bytes()), keys.public_key, first)
    return Rotated(keys.secret, keys.public_key, last)


async def forget_former_keys(database: Database, box: SecretBox) -> int:
    """Forget, for good, the keys that have stopped signing; answers of how many subscriptions."""
    forgotten = 0
    while True:
        async with database.unit_of_work() as work:
            found = await _forget(work, box)
        forgotten += found
        if found < _AT_ONCE:
            return forgotten


async def _forget(work: UnitOfWork, box: SecretBox) -> int:
    ended = await storage.lock_ended_keys(work.connection, _AT_ONCE)
    now = datetime.now(UTC)
    for subscription_id, sealed in ended:
        left, first = _left_of(sealed, box, now)
        await storage.keep_keys(work.connection, subscription_id, left, first)
    return len(ended)


def _left_of(sealed: bytes, box: SecretBox, now: datetime) -> tuple[bytes, datetime | None]:
    try:
        keys = SigningKeys.from_bytes(box.open(sealed)).without_ended(now)
    except UnsealableError:
        # What nobody can open signs nothing; it must not be found first again and again.
        return sealed, None
    first, _ = keys.former_until or (None, None)
    return box.seal(keys.to_bytes()), first
