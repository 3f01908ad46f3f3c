"""The keys of a subscription: both schemes, replaced with an overlap, written down."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from services.webhook_dispatcher.domain import Scheme, SigningKeys, TooManyKeys, signed_headers

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
BOTH = [Scheme.V1, Scheme.V1A]
BODY = b'{"payload": []}'


def headers_of(keys: SigningKeys, at: datetime | None = None) -> dict[str, str]:
    """As the sending puts them together, now if no other time is given: the library takes no old ones."""
    signed = "msg_1", int((at or datetime.now(UTC)).timestamp()), BODY
    headers = signed_headers(keys.secret, *signed)
    return headers | {"webhook-signature": " ".join([headers["webhook-signature"], *keys.further_signatures(*signed)])}


def is_verified_by(secret: str, headers: dict[str, str]) -> bool:
    """What the official library says, at the time of the headers."""
    try:
        Webhook(secret).verify(BODY, headers)
    except WebhookVerificationError:
        return False
    return True


def is_verified_by_public(key: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    """No official library verifies v1a, so this is what the specification says, with `cryptography`."""
    public = Ed25519PublicKey.from_public_bytes(b64decode(key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    found = [each.partition(",")[2] for each in headers["webhook-signature"].split() if each.startswith("v1a,")]
    for signature in found:
        try:
            public.verify(b64decode(signature), signed)
        except InvalidSignature:
            continue
        return True
    return False


def test_v1a_is_verified_by_the_public_key_and_v1_beside_it_by_the_official_library() -> None:
    keys = SigningKeys.new(BOTH)
    headers = headers_of(keys)

    assert keys.public_key is not None
    assert is_verified_by_public(keys.public_key, headers)
    assert not is_verified_by_public(keys.public_key, headers | {"webhook-id": "msg_2"})
    assert is_verified_by(keys.secret, headers)
    other = SigningKeys.new(BOTH)
    assert not is_verified_by_public(other.public_key or "", headers)


def test_without_v1a_there_is_no_public_key_and_one_signature() -> None:
    keys = SigningKeys.new([Scheme.V1])

    assert keys.public_key is None
    assert " " not in headers_of(keys)["webhook-signature"].strip()


def test_v1a_comes_and_goes_and_the_secret_stays() -> None:
    plain = SigningKeys.new([Scheme.V1])
    both = plain.with_schemes(BOTH)

    assert both.public_key is not None
    assert both.with_schemes(BOTH) == both, "a change of something else keeps the key"
    assert both.with_schemes([Scheme.V1]) == plain


def test_during_an_overlap_both_sign_and_afterwards_the_new_keys_alone() -> None:
    before = SigningKeys.new(BOTH)
    keys = before.rotated(DAY, NOW)

    assert keys.former_until == (datetime.fromtimestamp(int((NOW + DAY).timestamp()), UTC),) * 2
    during = headers_of(keys)
    for each in (before, keys):
        assert is_verified_by(each.secret, during)
        assert is_verified_by_public(each.public_key or "", during)
    after = headers_of(keys, NOW + DAY)["webhook-signature"].split()
    assert [each.partition(",")[0] for each in after] == ["v1", "v1a"]
    left = keys.without_ended(NOW + DAY)
    assert before.secret not in left.to_bytes().decode()
    assert (left.former_until, left.public_key) == (None, keys.public_key)


def test_without_an_overlap_the_former_keys_are_gone_at_once() -> None:
    before = SigningKeys.new(BOTH)
    keys = before.rotated(timedelta(0), NOW)

    assert keys.former_until is None
    assert before.secret not in keys.to_bytes().decode()
    assert not is_verified_by(before.secret, headers_of(keys))


def test_an_end_that_came_sooner_stays_and_too_many_overlaps_are_refused() -> None:
    keys = SigningKeys.new([Scheme.V1])
    for n in range(4):
        keys = keys.rotated(timedelta(hours=10 - n), NOW)
    assert [each.until for each in keys.more] == [int((NOW + timedelta(hours=7)).timestamp())] * 4
    with pytest.raises(TooManyKeys):
        keys.rotated(DAY, NOW)
    assert len(keys.rotated(DAY, NOW + DAY).more) == 1, "those whose time is over do not count"


def test_keys_are_written_down_and_read_again_and_a_secret_alone_is_what_there_was_before() -> None:
    keys = SigningKeys.new(BOTH).rotated(DAY, NOW)

    assert SigningKeys.from_bytes(keys.to_bytes()) == keys
    assert SigningKeys.from_bytes(b"whsec_c2VjcmV0") == SigningKeys("whsec_c2VjcmV0")
    assert "whs" not in repr(keys)
