"""Clients and the keys that sign their tokens."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Client

from .tables import clients, signing_keys


async def add_client(connection: AsyncConnection, client: Client) -> None:
    """Keep a new client."""
    row = {**vars(client), "scopes": sorted(client.scopes)}
    await connection.execute(insert(clients).values(**row))


async def client_with(connection: AsyncConnection, client_id: UUID) -> Client | None:
    """The client, unless it is unknown or its access was revoked."""
    wanted = select(clients).where(clients.c.client_id == client_id, clients.c.revoked_at.is_(None))
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else Client(row.client_id, row.name, row.secret_hash, frozenset(row.scopes))


async def lock_signing_keys(connection: AsyncConnection) -> None:
    """Let no other replica make the first key at the same time; until the end of the transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("signing keys"))))


async def sealed_signing_keys(connection: AsyncConnection) -> Sequence[bytes]:
    """The sealed private keys; the newest, which signs, comes first."""
    newest_first = select(signing_keys.c.sealed).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid)
    return (await connection.execute(newest_first)).scalars().all()


async def add_signing_key(connection: AsyncConnection, kid: str, sealed: bytes) -> None:
    """Keep a new key."""
    await connection.execute(insert(signing_keys).values(kid=kid, sealed=sealed))
