"""Secrets at rest can be read by nobody else, and can be recognised without being kept."""

import pytest
from cryptography.fernet import Fernet

from shared.kit.secrets import SecretBox, UnsealableError, hash_secret, new_sealing_key, new_secret, verify_secret


def test_what_was_sealed_can_be_opened_and_does_not_show() -> None:
    box = SecretBox([new_sealing_key()])
    sealed = box.seal(b"whsec_very_secret")
    assert b"very_secret" not in sealed
    assert box.open(sealed) == b"whsec_very_secret"


def test_keys_are_replaced_by_putting_the_new_one_in_front_and_sealing_again() -> None:
    old, new = new_sealing_key(), new_sealing_key()
    sealed = SecretBox([old]).seal(b"secret")
    sealed_again = SecretBox([new, old]).rotate(sealed)
    assert SecretBox([new]).open(sealed_again) == b"secret"
    with pytest.raises(UnsealableError):
        SecretBox([new]).open(sealed)


def test_what_is_sealed_names_its_key_and_one_that_is_not_here_is_told() -> None:
    old, new = new_sealing_key(), new_sealing_key()
    before, after = SecretBox([old]).seal(b"secret"), SecretBox([new, old]).seal(b"secret")
    assert before.startswith(SecretBox([old, new]).mark)
    assert after.startswith(SecretBox([new]).mark)
    assert SecretBox([old]).mark != SecretBox([new]).mark
    assert old.encode()[:8] not in before
    with pytest.raises(UnsealableError, match=SecretBox([old]).mark.decode()[:16]):
        SecretBox([new]).open(before)
    with pytest.raises(UnsealableError):
        SecretBox([new, old]).open(SecretBox([new]).mark + before.partition(b".")[2])


def test_what_was_sealed_before_keys_had_ids_is_opened_with_all_keys_and_given_one() -> None:
    old, new = new_sealing_key(), new_sealing_key()
    without_an_id = Fernet(old).encrypt(b"secret")
    box = SecretBox([new, old])
    assert box.open(without_an_id) == b"secret"
    assert box.rotate(without_an_id).startswith(box.mark)


@pytest.mark.parametrize("sealed", [b"", b"nonsense", b"gAAAAA", b".", b"0123456789abcdef.gAAAAA"])
def test_what_was_not_sealed_under_the_keys_cannot_be_opened(sealed: bytes) -> None:
    box = SecretBox([new_sealing_key()])
    for act in (box.open, box.rotate):
        with pytest.raises(UnsealableError):
            act(sealed)


@pytest.mark.parametrize("keys", [[], ["short"]])
def test_a_box_without_a_proper_key_cannot_be_made(keys: list[str]) -> None:
    with pytest.raises(ValueError, match=r"key|32"):
        SecretBox(keys)


def test_a_secret_is_recognised_by_its_hash_and_no_other_is() -> None:
    secret = new_secret()
    hashed = hash_secret(secret)
    assert secret not in hashed
    assert verify_secret(secret, hashed)
    assert not any(verify_secret(other, hashed) for other in (new_secret(), "", hashed, secret[:-1], "\ud800", "é"))


def test_equal_secrets_do_not_look_equal() -> None:
    assert hash_secret("x") != hash_secret("x")


@pytest.mark.parametrize("hashed", ["", "sha256", "sha256$$", "plain$$x", "sha256$salt$é"])
def test_what_is_no_hash_recognises_nothing(hashed: str) -> None:
    assert not verify_secret("x", hashed)
