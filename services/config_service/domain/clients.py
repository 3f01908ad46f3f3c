"""Clients: who may ask, and for what."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.kit.refusals import Conflict, FieldError, InvalidRequest, NotFound, Unauthorised


class Scope(StrEnum):
    """What a client may be allowed to do; `admin` implies `read`."""

    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_ADMIN = "accounts:admin"
    PORTFOLIOS_READ = "portfolios:read"
    PORTFOLIOS_ADMIN = "portfolios:admin"
    ORDERS_READ = "orders:read"
    ORDERS_ADMIN = "orders:admin"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_ADMIN = "webhooks:admin"
    OPS_READ = "ops:read"
    OPS_ADMIN = "ops:admin"


SCOPES: Final = tuple(scope.value for scope in Scope)

#: How many counts of wrong secrets there are. An id shares its own with one in so many of all other ids.
_GUESS_SLOTS: Final = 65_536

#: What 32 random bytes take in base64: a shorter secret could be searched for, since its hash is a quick one.
_SECRET_LENGTH: Final = 43

#: How many secrets of a client may work at once: its newest, and those that still overlap with it.
MAX_SECRETS: Final = 5


@dataclass(frozen=True)
class Client:
    """A company that integrates: the tenant to which everything belongs."""

    client_id: UUID
    name: str
    scopes: frozenset[str]
    revision: int
    created_at: datetime
    updated_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class ClientChange:
    """What ops ask to be changed of a client; what is None stays as it is."""

    name: str | None = None
    scopes: frozenset[str] | None = None


@dataclass(frozen=True)
class Credentials:
    """What a caller shows to be recognised as a client; nothing of it is known to be right."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Rotation:
    """A client's new secret, and until when the ones before it work."""

    client_secret: str = field(repr=False)
    #: None where they stopped at once
    overlap_until: datetime | None


class ClientNotFound(NotFound):
    """There is no such client, or its access was revoked."""


class TooManySecrets(Conflict):
    """Too many secrets of this client work already; wait for the overlaps to end, or rotate without one."""


class ScopesUnknown(InvalidRequest):
    """The scopes are not all known."""


class ScopesNotGranted(InvalidRequest):
    """The client may not have all of these scopes."""


class CredentialsUnfit(InvalidRequest):
    """A client's id is a UUID, and its secret as long as ours are: 43 characters of random bits."""


class CredentialsWrong(Unauthorised):
    """The client's credentials are missing or wrong."""


def known_client_id(known: Credentials) -> UUID:
    """The id in credentials that somebody has made for a client to come; raises CredentialsUnfit."""
    try:
        client_id = UUID(known.client_id)
    except ValueError:
        raise CredentialsUnfit from None
    if len(known.client_secret) < _SECRET_LENGTH:
        raise CredentialsUnfit
    return client_id


def guess_slot(client_id: str) -> str:
    """Name the count of wrong secrets that a presented client id belongs to.

    Ids share a bounded number of counts, known and invented ones alike: neither does inventing ids fill a table, nor
    does being refused tell which ids there are. However an id is spelled, it has the same count.
    """
    try:
        return str(UUID(client_id).int % _GUESS_SLOTS)
    except ValueError:
        return "no id"


def scopes_in(text: str) -> frozenset[str]:
    """Read scopes parted by spaces; raises ScopesUnknown, whose message lists those that there are."""
    scopes = frozenset(text.split())
    unknown = sorted(scopes - set(SCOPES))
    if unknown or not scopes:
        named = f"There is no scope {', '.join(unknown)}" if unknown else "At least one scope is needed"
        raise ScopesUnknown(f"{named}; the scopes are {', '.join(SCOPES)}.")
    return scopes


def scopes_granted(client: Client, asked: Collection[str]) -> frozenset[str]:
    """Give the scopes of a token: those that are asked for, all that the client has if none are."""
    granted = frozenset(scope for scope in asked if _may(client, scope))
    if len(granted) < len(frozenset(asked)):
        raise ScopesNotGranted(errors=[FieldError("body.scope", "asks for more than the client may do")])
    return granted or client.scopes


def client_after(client: Client, change: ClientChange) -> Client:
    """Give the client as it will be, but for its revision."""
    name = client.name if change.name is None else change.name
    return replace(client, name=name, scopes=client.scopes if change.scopes is None else change.scopes)


def _may(client: Client, scope: str) -> bool:
    what, _, how = scope.partition(":")
    return scope in client.scopes or (how == "read" and f"{what}:admin" in client.scopes)
