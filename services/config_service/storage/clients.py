"""Clients, their secrets, and the keys that sign their tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Client
from shared.contracts import new_id
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .tables import client_secrets, clients, signing_keys

_WORKS = or_(client_secrets.c.valid_until.is_(None), client_secrets.c.valid_until > func.clock_timestamp())


async def add_client(connection: AsyncConnection, name: str, scopes: frozenset[str]) -> Client:
    """Keep a new client."""
    added = _added(new_id(), name, scopes).returning(clients)
    return _client((await connection.execute(added)).mappings().one())


async def add_client_known_as(
    connection: AsyncConnection, client_id: UUID, name: str, scopes: frozenset[str]
) -> Client | None:
    """Keep a new client under an id that somebody has chosen, unless there is one, be it revoked, of that id."""
    added = _added(client_id, name, scopes).on_conflict_do_nothing().returning(clients)
    row = (await connection.execute(added)).mappings().one_or_none()
    return None if row is None else _client(row)


def _added(client_id: UUID, name: str, scopes: frozenset[str]) -> Insert:
    moment = func.statement_timestamp()
    return insert(clients).values(
        client_id=client_id, name=name, scopes=sorted(scopes), revision=1, created_at=moment, updated_at=moment
    )


async def client_of(connection: AsyncConnection, client_id: UUID) -> Client | None:
    """The client, unless it is unknown or its access was revoked."""
    row = (await connection.execute(_live(client_id))).mappings().one_or_none()
    return None if row is None else _client(row)


async def lock_client(connection: AsyncConnection, client_id: UUID) -> Client | None:
    """The client, unless it was revoked, locked: until the commit nobody else decides on it or announces it (P2)."""
    wanted = _live(client_id).with_for_update(key_share=True)
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else _client(row)


async def clients_in(connection: AsyncConnection, page: Page, *, revoked: bool) -> Part[Client]:
    """A page of all clients: of those whose access was revoked, or of the others."""
    kind = clients.c.revoked_at.is_not(None) if revoked else clients.c.revoked_at.is_(None)
    rows = await page_of(connection, select(clients).where(kind), page, id_column="client_id")
    return rows.of(_client)


async def change_client(connection: AsyncConnection, client: Client) -> Client:
    """Give a locked client its new name and scopes, under its next revision."""
    return await _update(connection, client.client_id, name=client.name, scopes=sorted(client.scopes))


async def revoke_client(connection: AsyncConnection, client_id: UUID) -> Client:
    """Take back a locked client's access, for good, under its next revision."""
    return await _update(connection, client_id, revoked_at=func.statement_timestamp())


async def _update(connection: AsyncConnection, client_id: UUID, **values: object) -> Client:
    changed = (
        update(clients)
        .where(clients.c.client_id == client_id)
        .values(**values, revision=clients.c.revision + 1, updated_at=func.statement_timestamp())
    )
    return _client((await connection.execute(changed.returning(clients))).mappings().one())


async def client_with_secrets(connection: AsyncConnection, client_id: UUID) -> tuple[Client, list[str]] | None:
    """The client and the hashes of the secrets that work, unless it is unknown or its access was revoked."""
    working = (
        select(func.array_agg(client_secrets.c.secret_hash))
        .where(client_secrets.c.client_id == clients.c.client_id, _WORKS)
        .scalar_subquery()
        .label("hashes")
    )
    wanted = select(clients, working).where(clients.c.client_id == client_id, clients.c.revoked_at.is_(None))
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else (_client(row), row["hashes"] or [])


async def add_secret(connection: AsyncConnection, client_id: UUID, secret_hash: str) -> None:
    """Keep a client's new secret."""
    added = insert(client_secrets).values(
        client_id=client_id, secret_hash=secret_hash, created_at=func.clock_timestamp()
    )
    await connection.execute(added)


async def end_secrets(connection: AsyncConnection, client_id: UUID, overlap_seconds: int) -> list[datetime]:
    """Forget those secrets of a locked client that no longer work; answers when each of the others ends from now on.

    An end that came sooner already stays.
    """
    theirs = client_secrets.c.client_id == client_id
    await connection.execute(delete(client_secrets).where(theirs, ~_WORKS))
    end = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, overlap_seconds)
    sooner = func.least(client_secrets.c.valid_until, end)
    ended = update(client_secrets).where(theirs).values(valid_until=sooner)
    return list((await connection.execute(ended.returning(client_secrets.c.valid_until))).scalars())


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


def _live(client_id: UUID) -> Select[Any]:
    return select(clients).where(clients.c.client_id == client_id, clients.c.revoked_at.is_(None))


def _client(row: RowMapping) -> Client:
    columns = {name: row[name] for name in clients.c.keys()}  # noqa: SIM118 - a collection of columns
    return Client(**{**columns, "scopes": frozenset(columns["scopes"])})
