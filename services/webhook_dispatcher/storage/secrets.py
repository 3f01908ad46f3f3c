"""Sealed secrets: signing keys replaced and forgotten, what endpoints are approached with."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_REPLACE = text(
    """
    UPDATE subscriptions
    SET sealed_secret = :sealed, public_key = :public_key, former_keys_until = CAST(:former_until AS timestamptz),
        revision = revision + 1, updated_at = clock_timestamp()
    WHERE id = :id
    """
)

#: Whoever comes to the same rows meanwhile leaves them to us.
_ENDED = text(
    """
    SELECT id, sealed_secret FROM subscriptions WHERE former_keys_until <= now()
    ORDER BY former_keys_until LIMIT :at_most FOR NO KEY UPDATE SKIP LOCKED
    """
)

#: Nothing that its client sees has changed.
_KEEP = text(
    "UPDATE subscriptions SET sealed_secret = :sealed, former_keys_until = CAST(:former_until AS timestamptz) "
    "WHERE id = :id"
)

_ACCESS = text("SELECT sealed_access FROM subscriptions WHERE id = :id")


async def replace_keys(
    connection: AsyncConnection,
    subscription_id: UUID,
    sealed: bytes,
    public_key: str | None,
    former_until: datetime | None,
) -> None:
    """Give a locked subscription new signing keys; the first of the former ones stops signing at `former_until`."""
    kept = {"id": subscription_id, "sealed": sealed, "public_key": public_key, "former_until": former_until}
    await connection.execute(_REPLACE, kept)


async def lock_ended_keys(connection: AsyncConnection, at_most: int) -> list[tuple[UUID, bytes]]:
    """Subscriptions, with their sealed keys, of which some have stopped signing; locked."""
    return [(row.id, row.sealed_secret) for row in await connection.execute(_ENDED, {"at_most": at_most})]


async def keep_keys(
    connection: AsyncConnection, subscription_id: UUID, sealed: bytes, former_until: datetime | None
) -> None:
    """Store what is left of a locked subscription's keys."""
    await connection.execute(_KEEP, {"id": subscription_id, "sealed": sealed, "former_until": former_until})


async def sealed_access_of(connection: AsyncConnection, subscription_id: UUID) -> bytes | None:
    """What the endpoint of a subscription is approached with, sealed; None where there is nothing."""
    found = await connection.execute(_ACCESS, {"id": subscription_id})
    sealed: bytes | None = found.scalar_one_or_none()
    return sealed
