"""What can be asked about clients and their tokens."""

from typing import Final
from uuid import UUID

from services.config_service import storage
from services.config_service.domain import Client, Credentials, CredentialsWrong, scopes_granted, scopes_in
from services.config_service.storage import Connection
from shared.contracts import new_id
from shared.kit.auth import SigningKey
from shared.kit.secrets import SecretBox, hash_secret, new_secret, verify_secret
from shared.kit.unit_of_work import UnitOfWork

#: Compared with where there is no such client, so that the time of the answer does not tell which ids exist.
_NOBODYS_HASH: Final = f"sha256${'0' * 32}${'0' * 64}"


async def create_client(work: UnitOfWork, name: str, scopes: str) -> Credentials:
    """Make a client that may use `scopes` (parted by spaces); its secret is told this once. Raises ScopesUnknown."""
    allowed = scopes_in(scopes)
    secret = new_secret()
    client = Client(new_id(), name, hash_secret(secret), allowed)
    await storage.add_client(work.connection, client)
    return Credentials(str(client.client_id), secret)


async def recognise_client(
    connection: Connection, shown: Credentials, asked: frozenset[str]
) -> tuple[UUID, frozenset[str]]:
    """Give the client and its token's scopes; raises CredentialsWrong, not saying in what, or ScopesNotGranted."""
    client_id = _uuid_in(shown.client_id)
    client = None if client_id is None else await storage.client_with(connection, client_id)
    recognised = verify_secret(shown.client_secret, client.secret_hash if client else _NOBODYS_HASH)
    if client is None or not recognised:
        raise CredentialsWrong
    return client.client_id, scopes_granted(client, asked)


def _uuid_in(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def signing_keys(work: UnitOfWork, box: SecretBox) -> list[SigningKey]:
    """Give the keys that sign tokens, newest first; the first replica that asks makes the first key, for all."""
    await storage.lock_signing_keys(work.connection)
    sealed = await storage.sealed_signing_keys(work.connection)
    if sealed:
        return [SigningKey.from_bytes(box.open(each)) for each in sealed]
    key = SigningKey.generate()
    await storage.add_signing_key(work.connection, key.kid, box.seal(key.to_bytes()))
    return [key]
