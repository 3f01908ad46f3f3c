"""Clients: who may ask, and for what."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from shared.kit.refusals import FieldError, InvalidRequest, Unauthorised

#: What a client may be allowed to do; `admin` implies `read`.
SCOPES: Final = tuple(
    f"{what}:{how}" for what in ("accounts", "portfolios", "orders", "webhooks", "ops") for how in ("read", "admin")
)


@dataclass(frozen=True)
class Client:
    """A company that integrates: the tenant to which everything belongs."""

    client_id: UUID
    name: str
    secret_hash: str = field(repr=False)
    scopes: frozenset[str]


@dataclass(frozen=True)
class Credentials:
    """What a caller shows to be recognised as a client; nothing of it is known to be right."""

    client_id: str
    client_secret: str = field(repr=False)


class ScopesUnknown(InvalidRequest):
    """The scopes are not all known."""


class ScopesNotGranted(InvalidRequest):
    """The client may not have all of these scopes."""


class CredentialsWrong(Unauthorised):
    """The client's credentials are missing or wrong."""


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


def _may(client: Client, scope: str) -> bool:
    what, _, how = scope.partition(":")
    return scope in client.scopes or (how == "read" and f"{what}:admin" in client.scopes)
