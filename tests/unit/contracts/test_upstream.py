"""What an upstream service calls: records in any Kafka client's form, and replies told apart."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import (
    COMMANDS_REPLIES,
    DeleteConfiguration,
    ReadMessage,
    Record,
    RequestRebalancing,
    Unreadable,
    UnreadableBody,
    UnreadableEnvelope,
    UnreadableMessageError,
    is_reply_to,
    new_envelope,
    read,
    record_of,
)

from .messages import a_body, raw

ACCOUNT = UUID("eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c")
CLIENT = UUID("01998b6e-7c00-7a10-8f00-0000000000f1")
DELETE = DeleteConfiguration(account_id=ACCOUNT)


def _sent(**attributes: Any) -> Record:
    return record_of(DELETE, **{"client_id": CLIENT, "source": "/upstream", "id": "1", **attributes})


def _reply(*, client_id: UUID = CLIENT, **changes: Any) -> ReadMessage:
    answered = {
        "command_id": "1",
        "command_type": "DeleteConfiguration",
        "command_key": str(ACCOUNT),
        "command_source": "/upstream",
    }
    body = a_body("CommandAccepted", **(answered | changes))
    headers = {"ce_type": "CommandAccepted", "ce_clientid": str(client_id)}
    return _read(COMMANDS_REPLIES.name, body["command_key"].encode(), raw(body), **headers)


def _read(topic: str, key: bytes, value: bytes, **changes: str) -> ReadMessage:
    headers = dict(_sent().headers) | {name: text.encode() for name, text in changes.items()}
    return read(topic, key, value, list(headers.items()))


def test_a_record_is_read_as_the_message_that_it_was_made_of() -> None:
    record = _sent(correlation_id="story")
    came = read(record.topic, record.key, record.value, record.headers)

    assert came.message == DELETE
    assert (came.envelope.id, came.envelope.source, came.envelope.client_id) == ("1", "/upstream", CLIENT)
    assert (came.envelope.subject, came.envelope.correlation_id) == (str(ACCOUNT), "story")


def test_a_record_has_an_id_of_its_own_unless_it_is_given_one() -> None:
    ids = {dict(_sent(id=None).headers)["ce_id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_request_that_leaves_its_key_to_the_sender_takes_it() -> None:
    request, key = RequestRebalancing(accounts=(ACCOUNT,)), str(uuid4())

    assert record_of(request, client_id=CLIENT, source="/upstream", key=key).key == key.encode()
    with pytest.raises(ValueError, match="key of the sender's choice"):
        record_of(request, client_id=CLIENT, source="/upstream")


@pytest.mark.parametrize(
    "form", [list, tuple, dict, lambda headers: [(name, value.decode()) for name, value in headers]]
)
def test_headers_are_taken_as_any_client_gives_them(form: Any) -> None:
    record = _sent()
    assert read(record.topic, record.key, record.value, form(record.headers)).message == DELETE


@pytest.mark.parametrize("headers", [None, (), {}])
def test_a_record_without_headers_has_no_envelope(headers: Any) -> None:
    with pytest.raises(UnreadableEnvelope) as refusal:
        read("configurations.commands.v1", b"k", b"{}", headers)
    assert refusal.value.reason is Unreadable.MISSING_ATTRIBUTE


def test_the_prefix_of_an_installation_is_taken_off_its_topics() -> None:
    record = _sent()

    assert read(f"blue.{record.topic}", record.key, record.value, record.headers, prefix="blue.").message == DELETE
    with pytest.raises(UnreadableBody) as refusal:
        read(f"blue.{record.topic}", record.key, record.value, record.headers)
    assert refusal.value.reason is Unreadable.WRONG_TOPIC


def test_a_newer_event_is_told_as_such_and_read_by_whoever_keeps_copies() -> None:
    body = a_body("ConfigurationDeleted")
    envelope = new_envelope(DELETE, source="/config_service", client_id=CLIENT)
    headers = {"ce_id": envelope.id, "ce_type": "ConfigurationPaused", "ce_clientid": str(CLIENT)}
    topic, key = "configurations.events.v1", body["account_id"].encode()
    pairs = list((dict(_sent().headers) | {name: value.encode() for name, value in headers.items()}).items())

    with pytest.raises(UnreadableBody) as refusal:
        read(topic, key, raw(body), pairs)
    assert refusal.value.reason is Unreadable.UNKNOWN_TYPE
    state = read(topic, key, raw(body), pairs, keeps_copies=True).message
    assert json.loads(state.model_dump_json()) == body


def test_the_reply_to_a_command_is_known() -> None:
    assert is_reply_to(_sent(), _reply())
    assert is_reply_to(_sent(), _reply(command_source=None)), "replies of earlier versions"


@pytest.mark.parametrize(
    "other",
    [
        {"command_id": "2"},
        {"command_type": "CreateConfiguration"},
        {"command_key": str(CLIENT)},
        {"command_source": "/another"},
        {"client_id": uuid4()},
    ],
)
def test_the_reply_to_another_command_is_not_taken_for_it(other: dict[str, Any]) -> None:
    assert not is_reply_to(_sent(), _reply(**other))


def test_a_message_that_is_no_reply_answers_nothing() -> None:
    record = _sent()
    assert not is_reply_to(record, read(record.topic, record.key, record.value, record.headers))


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=50) | st.none(), max_size=6), st.binary(max_size=200))
def test_whatever_comes_is_refused_with_a_reason(headers: dict[str, bytes | None], value: bytes) -> None:
    known = {name: content for name, content in _sent().headers if len(value) % 2}
    reason = None
    try:
        read("configurations.commands.v1", value, value, {**headers, **known})
    except UnreadableMessageError as refusal:
        reason = refusal.reason
    assert isinstance(reason, Unreadable), "random bytes are no message"
