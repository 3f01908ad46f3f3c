"""Answers kept under idempotency keys, so that a request that is sent again has one effect and the same answer.

The row is written in the effect's own transaction: a crash leaves both or neither. That a key is in flight is a lock
that ends with its transaction, so nobody has to clear it away.
"""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .outbox import Companion

#: The answer kept under a key; that the key is in flight elsewhere; or no row, and the key is locked for this
#: transaction. The function stands in the kit's migration.
_KEPT_OR_LOCK = text(
    "SELECT in_flight, body_hash, status, location, etag, body FROM answer_kept_or_lock("
    "CAST(:client_id AS uuid), CAST(:method AS text), CAST(:path AS text), CAST(:key AS uuid))"
)

_KEPT = text(
    """
    SELECT body_hash, status, location, etag, body FROM idempotency_keys
    WHERE client_id = :client_id AND key = :key AND method = :method AND path = :path
      AND created_at > now() - interval '24 hours'
    """
)

#: Takes the place of an answer that is too old to be replayed and not yet forgotten.
_KEEP = """
    INSERT INTO idempotency_keys AS k (client_id, method, path, key, body_hash, status, location, etag, body)
    VALUES (:client_id, :method, :path, :key, :body_hash, :status, :location, :etag, :body)
    ON CONFLICT (client_id, key, method, path) DO UPDATE
    SET body_hash = excluded.body_hash, status = excluded.status, location = excluded.location, etag = excluded.etag,
        body = excluded.body, created_at = excluded.created_at
    WHERE k.created_at <= now() - interval '24 hours'
"""

#: In small bites, as all of the housekeeping.
_FORGET = text(
    """
    DELETE FROM idempotency_keys WHERE ctid IN (
        SELECT ctid FROM idempotency_keys WHERE created_at <= now() - interval '24 hours' LIMIT 5000)
    """
)


class AnswerNotKeptError(Exception):
    """An answer stands under the key already, though the key was locked: the lock was not taken or not held."""


@dataclass(frozen=True, slots=True)
class AskedOnce:
    """What a key belongs to: one client's requests with one method to one path."""

    client_id: UUID
    method: str
    path: str
    key: UUID


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A successful answer, without secrets."""

    #: SHA-256 of the body of the request that it answered
    body_hash: bytes
    status: int
    location: str | None
    etag: str | None
    #: JSON as it is sent
    body: bytes = field(repr=False)


async def kept_or_locked(connection: AsyncConnection, asked: AskedOnce) -> tuple[KeptAnswer | None, bool]:
    """The answer kept for a key, if any; and whether the key is free for this transaction, which has locked it then.

    Neither means that another transaction has the key. One statement.
    """
    row = (await connection.execute(_KEPT_OR_LOCK, _named(asked))).one_or_none()
    if row is None:
        return None, True
    if row.in_flight:
        return None, False
    return KeptAnswer(row.body_hash, row.status, row.location, row.etag, row.body), False


async def kept(connection: AsyncConnection, asked: AskedOnce) -> KeptAnswer | None:
    """The answer kept for a key, if any, without a lock on it."""
    row = (await connection.execute(_KEPT, _named(asked))).one_or_none()
    return None if row is None else KeptAnswer(row.body_hash, row.status, row.location, row.etag, row.body)


def kept_with_events(asked: AskedOnce, answer: KeptAnswer) -> Companion:
    """The row that keeps an answer under a key that its transaction has locked; AnswerNotKeptError may come of it."""
    answered = {
        "body_hash": answer.body_hash,
        "status": answer.status,
        "location": answer.location,
        "etag": answer.etag,
        "body": answer.body,
    }
    return Companion(_KEEP, _named(asked) | answered, AnswerNotKeptError)


async def forget_old(connection: AsyncConnection) -> int:
    """Forget some of the answers that are older than 24 hours; answers how many, 0 when there are no more."""
    return (await connection.execute(_FORGET)).rowcount


def _named(asked: AskedOnce) -> dict[str, object]:
    return {"client_id": asked.client_id, "method": asked.method, "path": asked.path, "key": asked.key}
