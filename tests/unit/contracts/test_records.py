"""Records: keys, envelopes made for messages, and what an answer to a wrong command may say."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from shared.contracts import (
    CommandRejected,
    DeleteConfiguration,
    FieldError,
    Problem,
    RequestRebalancing,
    Unreadable,
    UnreadableBody,
    from_record,
    new_envelope,
    new_id,
    read_body,
    reply_key,
    to_record,
)

from .messages import a_body, raw, the_topic

ACCOUNT = UUID("eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c")
CLIENT = UUID("01998b6e-7c00-7a10-8f00-0000000000f1")
DELETE = DeleteConfiguration(account_id=ACCOUNT)


def _reason(name: str, key: bytes | None, body: dict[str, Any]) -> Unreadable:
    with pytest.raises(UnreadableBody) as refusal:
        read_body(name, the_topic(name), key, raw(body))
    assert [error.location for error in refusal.value.errors] == [
        {"DeleteConfiguration": "account_id", "RequestRebalancing": "execution_id"}[name]
    ]
    return refusal.value.reason


def test_a_message_comes_back_from_its_record() -> None:
    envelope = new_envelope(DELETE, source="/upstream", client_id=CLIENT, correlation_id="req-1", causation_id="c")

    assert from_record(to_record(DELETE, envelope)) == (envelope, DELETE)


def test_a_new_envelope_has_an_id_of_its_own_and_the_time_of_now() -> None:
    before = datetime.now(UTC)
    one, other = (new_envelope(DELETE, source="/upstream", client_id=CLIENT) for _ in range(2))

    assert one.id != other.id
    assert before <= one.time <= datetime.now(UTC)
    assert one.type == "DeleteConfiguration"


def test_an_envelope_keeps_what_it_is_told() -> None:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    envelope = new_envelope(DELETE, source="/upstream", client_id=CLIENT, id="a retry", time=moment)

    assert (envelope.id, envelope.time) == ("a retry", moment)


def test_an_envelope_for_another_type_carries_nothing() -> None:
    envelope = new_envelope(DELETE, source="/upstream", client_id=CLIENT)

    with pytest.raises(ValueError, match="cannot carry"):
        to_record(RequestRebalancing(execution_id=ACCOUNT, accounts=(ACCOUNT,)), envelope)


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        str(ACCOUNT).upper().encode(),
        ACCOUNT.hex.encode(),
        ACCOUNT.bytes,
        str(CLIENT).encode(),
        f" {ACCOUNT}".encode(),
        b"\xff",
    ],
)
def test_a_key_that_is_not_the_canonical_one_is_refused(key: bytes | None) -> None:
    assert _reason("DeleteConfiguration", key, a_body("DeleteConfiguration")) == Unreadable.KEY_MISMATCH


def test_a_body_may_write_an_id_in_upper_case_if_the_key_is_canonical() -> None:
    body = a_body("DeleteConfiguration", account_id=str(ACCOUNT).upper())

    message = read_body("DeleteConfiguration", "configurations.commands.v1", str(ACCOUNT).encode(), raw(body))
    assert message == DELETE


def test_a_request_without_an_execution_id_has_a_key_of_its_sender() -> None:
    request = RequestRebalancing(accounts=(ACCOUNT,))
    envelope = new_envelope(request, source="/upstream", client_id=CLIENT)

    record = to_record(request, envelope, key=str(CLIENT))
    assert from_record(record) == (envelope, request)
    with pytest.raises(ValueError, match="key of the sender's choice"):
        to_record(request, envelope)
    with pytest.raises(ValueError, match="cannot have the key"):
        to_record(request, envelope, key="anything")


@pytest.mark.parametrize("key", [None, b"", b"anything", b"\xff", str(CLIENT).upper().encode()])
def test_a_request_without_an_execution_id_still_needs_a_canonical_key(key: bytes | None) -> None:
    body = a_body("RequestRebalancing", execution_id=None)

    assert _reason("RequestRebalancing", key, body) == Unreadable.KEY_MISMATCH


def test_a_request_with_an_execution_id_is_keyed_by_it() -> None:
    assert _reason("RequestRebalancing", str(CLIENT).encode(), a_body("RequestRebalancing")) == Unreadable.KEY_MISMATCH


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (str(ACCOUNT).encode(), str(ACCOUNT)),
        ("ä".encode() * 256, "ä" * 256),
        (b"x" * 257, None),
        (b"a\x00", None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_reply_carries_the_key_of_its_command_or_there_is_none(key: bytes | None, text: str | None) -> None:
    assert reply_key(key) == text


def test_an_answer_to_hostile_field_names_can_be_sent_and_is_bounded() -> None:
    body = {f"{index}\0\n" + "x" * 2_000: 1 for index in range(300)}
    with pytest.raises(UnreadableBody) as refusal:
        read_body("DeleteConfiguration", "configurations.commands.v1", b"k", raw(body))

    problem = Problem(type="/problems/invalid_request", title="t", status=400, errors=refusal.value.errors)
    reply = CommandRejected(command_id="1", command_type="DeleteConfiguration", command_key="k", problem=problem)
    written = json.loads(reply.model_dump_json())["problem"]["errors"]
    assert len(written) == 100
    assert all(len(error["location"]) <= 256 and error["location"].isprintable() for error in written)


def test_a_problem_takes_the_document_as_http_gives_it() -> None:
    document = {
        "type": "/problems/invalid_request",
        "title": "Invalid request",
        "status": 400,
        "errors": [{"location": "account_id", "message": "is no UUID"}],
    }

    assert Problem.model_validate(document).errors == (FieldError(location="account_id", message="is no UUID"),)


def test_a_message_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        DELETE.account_id = CLIENT  # type: ignore[misc]


def test_new_ids_are_of_version_seven_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(1_000)]

    assert len(set(ids)) == len(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    assert [each.int >> 80 for each in ids] == sorted(each.int >> 80 for each in ids)
