"""Signatures, against the official library."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.webhook_dispatcher.domain import new_signing_secret, signed_headers


def now() -> int:
    """The library refuses timestamps that are older than five minutes, and a run of all tests takes longer."""
    return int(datetime.now(UTC).timestamp())


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_what_is_signed_here_is_verified_by_the_official_library(text: str) -> None:
    secret, body = new_signing_secret(), text.encode()
    headers = signed_headers(secret, "msg_1", now(), body)

    Webhook(secret).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp"])
def test_a_signature_covers_id_and_timestamp(changed: str) -> None:
    secret, signed_at = new_signing_secret(), now()
    others = {"webhook-id": "msg_2", "webhook-timestamp": str(signed_at + 1)}
    headers = signed_headers(secret, "msg_1", signed_at, b"{}") | {changed: others[changed]}

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(b"{}", headers)


def test_secrets_are_never_the_same() -> None:
    assert len({new_signing_secret() for _ in range(100)}) == 100
