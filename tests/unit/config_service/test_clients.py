"""Who may ask, and for what."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.config_service.domain import (
    SCOPES,
    Client,
    ClientChange,
    Credentials,
    Rotation,
    ScopesNotGranted,
    ScopesUnknown,
    client_after,
    scopes_granted,
    scopes_in,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_client(*scopes: str) -> Client:
    return Client(uuid4(), "a client", frozenset(scopes), 1, NOW, NOW)


def test_known_scopes_are_read_with_any_spaces_between_them() -> None:
    assert scopes_in("  accounts:read   ops:admin ") == {"accounts:read", "ops:admin"}


@pytest.mark.parametrize("text", ["accounts:write", "accounts:read nonsense", "", "  "])
def test_unknown_scopes_are_refused_with_a_list_of_the_known_ones(text: str) -> None:
    with pytest.raises(ScopesUnknown) as refused:
        scopes_in(text)
    assert all(scope in refused.value.detail for scope in SCOPES)


def test_a_token_has_all_of_its_clients_scopes_unless_fewer_are_asked_for() -> None:
    client = a_client("accounts:admin", "orders:read")
    assert scopes_granted(client, []) == {"accounts:admin", "orders:read"}
    assert scopes_granted(client, ["orders:read"]) == {"orders:read"}


def test_admin_implies_read_and_read_does_not_imply_admin() -> None:
    assert scopes_granted(a_client("accounts:admin"), ["accounts:read"]) == {"accounts:read"}
    with pytest.raises(ScopesNotGranted):
        scopes_granted(a_client("accounts:read"), ["accounts:admin"])


def test_one_scope_too_many_refuses_them_all() -> None:
    with pytest.raises(ScopesNotGranted):
        scopes_granted(a_client("accounts:read"), ["accounts:read", "orders:read"])


def test_secrets_are_not_shown_when_what_holds_them_is() -> None:
    assert "hidden" not in repr([Credentials("id", "hidden"), Rotation("hidden", None)])


def test_a_change_keeps_what_it_does_not_name() -> None:
    client = a_client("accounts:read")
    assert client_after(client, ClientChange()) == client
    assert client_after(client, ClientChange(name="new")) == replace(client, name="new")
    scopes = frozenset({"ops:read"})
    assert client_after(client, ClientChange(scopes=scopes)) == replace(client, scopes=scopes)
