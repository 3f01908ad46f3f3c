"""Who may ask, and for what."""

from uuid import uuid4

import pytest

from services.config_service.domain import SCOPES, Client, ScopesNotGranted, ScopesUnknown, scopes_granted, scopes_in


def a_client(*scopes: str) -> Client:
    return Client(uuid4(), "a client", "hash", frozenset(scopes))


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


def test_a_clients_secret_is_not_shown_when_the_client_is() -> None:
    assert "hash" not in repr(a_client("accounts:read"))
