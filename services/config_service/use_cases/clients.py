"""What can be asked about clients and their tokens."""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    MAX_SECRETS,
    Client,
    ClientChange,
    ClientNotFound,
    Credentials,
    CredentialsWrong,
    Rotation,
    TooManySecrets,
    client_after,
    known_client_id,
    scopes_granted,
    scopes_in,
)
from services.config_service.storage import Connection
from shared.contracts import ClientChanged, ClientCreated, ClientRevoked, ClientState, new_id
from shared.kit.auth import SigningKey
from shared.kit.cause import Cause
from shared.kit.logs import get_logger
from shared.kit.paging import Page, Part
from shared.kit.refusals import refuse_unless_current
from shared.kit.secrets import SecretBox, hash_secret, new_secret, verify_secret
from shared.kit.unit_of_work import UnitOfWork

_log = get_logger("audit")

#: Compared with where there is no such client, so that the time of the answer does not tell which ids exist.
_NOBODYS_HASH: Final = f"sha256${'0' * 32}${'0' * 64}"


async def create_client(work: UnitOfWork, name: str, scopes: str) -> Credentials:
    """Make a client that may use `scopes` (parted by spaces), as the command line does; raises ScopesUnknown."""
    client, secret = await add_client(work, None, name, scopes_in(scopes))
    return Credentials(str(client.client_id), secret)


async def create_known_client(work: UnitOfWork, known: Credentials, name: str, scopes: str) -> bool:
    """Make a client whose id and secret somebody keeps already, unless it is there; answers whether it was made.

    One that was revoked or has another secret by now stays as it is. Raises CredentialsUnfit, ScopesUnknown.
    """
    client_id = known_client_id(known)
    client = await storage.add_client_known_as(work.connection, client_id, name, scopes_in(scopes))
    if client is None:
        return False
    await storage.add_secret(work.connection, client_id, hash_secret(known.client_secret))
    _announce(work, None, ClientCreated(**_state(client)))
    return True


async def add_client(work: UnitOfWork, cause: Cause | None, name: str, scopes: frozenset[str]) -> tuple[Client, str]:
    """Make a client that may use `scopes`; answers it with its secret, which is told this once."""
    client = await storage.add_client(work.connection, name, scopes)
    secret = new_secret()
    await storage.add_secret(work.connection, client.client_id, hash_secret(secret))
    _announce(work, cause, ClientCreated(**_state(client)))
    return client, secret


async def change_client(
    work: UnitOfWork, cause: Cause, client_id: UUID, change: ClientChange, expected: int | None = None
) -> Client:
    """Change a client's name or scopes, and announce it unless all stays as it is.

    Tokens that it has keep their scopes until they end. Raises ClientNotFound, PreconditionFailed.
    """
    before = await _locked(work, client_id)
    refuse_unless_current(expected, before.revision)
    after = client_after(before, change)
    if after == before:
        return before
    client = await storage.change_client(work.connection, after)
    _announce(work, cause, ClientChanged(**_state(client)))
    return client


async def rotate_secret(work: UnitOfWork, client_id: UUID, overlap_seconds: int) -> Rotation:
    """Give a client a new secret; those before it work for `overlap_seconds` more.

    Raises ClientNotFound, TooManySecrets.
    """
    await _locked(work, client_id)
    ends = await storage.end_secrets(work.connection, client_id, overlap_seconds)
    overlapping = ends if overlap_seconds else []
    if len(overlapping) >= MAX_SECRETS:
        raise TooManySecrets
    secret = new_secret()
    await storage.add_secret(work.connection, client_id, hash_secret(secret))
    return Rotation(secret, max(overlapping, default=None))


async def revoke_client(work: UnitOfWork, cause: Cause, client_id: UUID, expected: int | None = None) -> Client:
    """Take back a client's access for good: no new tokens, no webhooks.

    Raises ClientNotFound, PreconditionFailed.
    """
    before = await _locked(work, client_id)
    refuse_unless_current(expected, before.revision)
    client = await storage.revoke_client(work.connection, client_id)
    _announce(work, cause, ClientRevoked(**_state(client)))
    return client


def note_client(event: str, client_id: UUID, by: str, **more: object) -> None:
    """Leave the audit line of a change of a client, once it is committed; `by` says who made it."""
    _log.info(event, audit=True, subject=str(client_id), by=by, **more)


async def read_client(connection: Connection, client_id: UUID) -> Client:
    """Give a client; raises ClientNotFound."""
    client = await storage.client_of(connection, client_id)
    if client is None:
        raise ClientNotFound
    return client


async def list_clients(connection: Connection, page: Page, *, revoked: bool = False) -> Part[Client]:
    """Give a page of all clients: of those whose access was revoked, or of the others."""
    return await storage.clients_in(connection, page, revoked=revoked)


async def recognise_client(
    connection: Connection, shown: Credentials, asked: frozenset[str]
) -> tuple[UUID, frozenset[str]]:
    """Give the client and its token's scopes; raises CredentialsWrong, not saying in what, or ScopesNotGranted."""
    client_id = _uuid_in(shown.client_id)
    found = None if client_id is None else await storage.client_with_secrets(connection, client_id)
    hashes = found[1] if found else [_NOBODYS_HASH]
    # All of them, since which one fits should not show in the time of the answer.
    fits = [verify_secret(shown.client_secret, hashed) for hashed in hashes]
    if found is None or not any(fits):
        raise CredentialsWrong
    return found[0].client_id, scopes_granted(found[0], asked)


async def signing_keys(work: UnitOfWork, box: SecretBox) -> list[SigningKey]:
    """Give the keys that sign tokens, newest first; the first replica that asks makes the first key, for all."""
    await storage.lock_signing_keys(work.connection)
    sealed = await storage.sealed_signing_keys(work.connection)
    if sealed:
        return [SigningKey.from_bytes(box.open(each)) for each in sealed]
    key = SigningKey.generate()
    await storage.add_signing_key(work.connection, key.kid, box.seal(key.to_bytes()))
    return [key]


async def _locked(work: UnitOfWork, client_id: UUID) -> Client:
    client = await storage.lock_client(work.connection, client_id)
    if client is None:
        raise ClientNotFound
    return client


def _state(client: Client) -> dict[str, Any]:
    return {**vars(client), "scopes": sorted(client.scopes)}


def _announce(work: UnitOfWork, cause: Cause | None, event: ClientState) -> None:
    # The event is the client's own, whoever of ops has asked for it.
    because = cause or Cause(event.client_id, str(new_id()))
    work.publish(event, cause=replace(because, client_id=event.client_id))


def _uuid_in(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
