"""Reading a body: it becomes its message, or is refused with a reason and the fields that are wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import (
    MESSAGES,
    ConfigurationDeleted,
    ConfigurationState,
    Message,
    OrderPlaced,
    RequestRebalancing,
    Unreadable,
    UnreadableBody,
    read_body,
)

from .messages import a_body, raw, the_topic

ACCOUNT = "eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c"


def _read(name: str, body: object, key: bytes | None = ACCOUNT.encode()) -> Message:
    value = body if body is None or isinstance(body, bytes) else raw(body)
    return read_body(name, the_topic(name), key, value)


def _refusal(name: str, body: object, key: bytes | None = ACCOUNT.encode()) -> UnreadableBody:
    with pytest.raises(UnreadableBody) as refusal:
        _read(name, body, key)
    return refusal.value


def test_a_message_is_read() -> None:
    order = _read("OrderPlaced", a_body("OrderPlaced"))

    assert isinstance(order, OrderPlaced)
    assert order.key == ACCOUNT


def test_an_event_may_have_fields_that_are_not_known() -> None:
    known = _read("OrderPlaced", a_body("OrderPlaced"))

    assert _read("OrderPlaced", a_body("OrderPlaced", mood="good", deep={"a": [1, None]})) == known


def test_a_command_may_not_and_the_field_is_named() -> None:
    refusal = _refusal("PlaceOrder", a_body("PlaceOrder", mood="good"))

    assert refusal.reason == Unreadable.INVALID_BODY
    assert [error.location for error in refusal.errors] == ["mood"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Unreadable.NULL_VALUE),
        (b"", Unreadable.NOT_JSON),
        (b"{", Unreadable.NOT_JSON),
        (b"\xff\xfe", Unreadable.NOT_JSON),
        (b'{"a": "\\ud800"}', Unreadable.NOT_JSON),
        (b"\xef\xbb\xbf{}", Unreadable.NOT_JSON),
        (b"{} {}", Unreadable.NOT_JSON),
        (b"[" * 100_000, Unreadable.NOT_JSON),
        (raw({})[:-1] + b'"x": NaN}', Unreadable.NOT_JSON),
        (raw({})[:-1] + b'"x": -Infinity}', Unreadable.NOT_JSON),
        (b"null", Unreadable.INVALID_BODY),
        (b"[]", Unreadable.INVALID_BODY),
        (b'"text"', Unreadable.INVALID_BODY),
        (b"{}", Unreadable.INVALID_BODY),
        (b'"' + b"x" * 1_048_576 + b'"', Unreadable.TOO_LARGE),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_body_is_refused_with_its_reason(value: bytes | None, reason: Unreadable) -> None:
    assert _refusal("OrderPlaced", value).reason == reason


def test_the_word_nan_in_a_text_is_no_number() -> None:
    assert _read("OrderPlaced", a_body("OrderPlaced", client_reference="NaN Infinity")).key == ACCOUNT


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("OrderPlaced", "account_id", "24c230eb-5d4f-4462-9af8-6612e7bd3afg"),
        ("OrderPlaced", "account_id", 7),
        ("OrderPlaced", "cash_amount", 100.0),
        ("OrderPlaced", "cash_amount", 100),
        ("OrderPlaced", "cash_amount", "1e2"),
        ("OrderPlaced", "configuration_version", "1"),
        ("OrderPlaced", "configuration_version", 1.0),
        ("OrderPlaced", "configuration_version", True),
        ("OrderPlaced", "configuration_version", 2**63),
        ("OrderPlaced", "currency", "eur"),
        ("OrderPlaced", "side", "HOLD"),
        ("OrderPlaced", "status", "FILLED"),
        ("OrderPlaced", "kind", "REBALANCING"),
        ("OrderPlaced", "created_at", "2026-01-31T12:00:00"),
        ("OrderPlaced", "client_reference", "x" * 257),
        ("OrderPlaced", "client_reference", "\0"),
        ("ConfigurationDeleted", "configured", True),
        ("ConfigurationDeleted", "configured", "false"),
        ("ConfigurationDeleted", "revision", 0),
        ("RebalancingOrderFilled", "status", "NEW"),
        ("CancelRebalancingOrder", "reason", "BORED"),
    ],
)
def test_a_wrong_field_is_named(name: str, field: str, value: object) -> None:
    refusal = _refusal(name, a_body(name, **{field: value}))

    assert refusal.reason == Unreadable.INVALID_BODY
    assert [error.location for error in refusal.errors] == [field]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_field_that_is_required_is_missed_by_name(name: str) -> None:
    for field, about in MESSAGES[name].model_fields.items():
        body = a_body(name)
        key = str(body[MESSAGES[name].key_field]).encode()
        del body[field]
        if about.is_required():
            assert field in [error.location for error in _refusal(name, body, key).errors]


def test_a_field_inside_a_list_is_named_by_its_path() -> None:
    body = a_body("AllocationCreated")
    body["allocation"][1]["weight"] = 0.3

    refusal = _refusal("AllocationCreated", body, body["allocation_id"].encode())
    assert [error.location for error in refusal.errors] == ["allocation.1.weight"]


def test_lists_are_bounded() -> None:
    many = [ACCOUNT] * 10_001
    body = {"execution_id": ACCOUNT, "accounts": many}

    assert [error.location for error in _refusal("RequestRebalancing", body).errors] == ["accounts"]
    assert isinstance(_read("RequestRebalancing", body | {"accounts": many[1:]}), RequestRebalancing)


@pytest.mark.parametrize(
    "targets", [{}, {"accounts": [ACCOUNT], "allocations": [ACCOUNT]}, {"accounts": []}, {"allocations": []}]
)
def test_a_rebalancing_is_asked_for_accounts_or_allocations(targets: dict[str, Any]) -> None:
    assert _refusal("RequestRebalancing", {"execution_id": ACCOUNT} | targets).reason == Unreadable.INVALID_BODY


def test_an_unknown_type_is_refused_by_those_who_act() -> None:
    with pytest.raises(UnreadableBody) as refusal:
        read_body("ConfigurationFrozen", "configurations.events.v1", ACCOUNT.encode(), b"{}")

    assert refusal.value.reason == Unreadable.UNKNOWN_TYPE


@pytest.mark.parametrize("configured", [True, False])
def test_an_unknown_type_is_applied_by_those_who_keep_copies(configured: bool) -> None:  # noqa: FBT001 - parametrised
    value = raw(a_body("ConfigurationCreated", configured=configured, since="next year"))
    state = read_body("ConfigurationFrozen", "configurations.events.v1", ACCOUNT.encode(), value, keeps_copies=True)

    assert type(state) is ConfigurationState
    assert state.configured is configured


@pytest.mark.parametrize("topic", ["orders.events.v1", "subscriptions.events.v1", "configurations.commands.v1", "x"])
def test_an_unknown_type_on_a_topic_without_state_is_refused_by_all(topic: str) -> None:
    with pytest.raises(UnreadableBody) as refusal:
        read_body("Unheard", topic, ACCOUNT.encode(), b"{}", keeps_copies=True)

    assert refusal.value.reason == Unreadable.UNKNOWN_TYPE


@pytest.mark.parametrize("keeps_copies", [True, False])
def test_a_message_on_another_topic_is_refused(keeps_copies: bool) -> None:  # noqa: FBT001 - parametrised
    value = raw(a_body("OrderPlaced"))
    with pytest.raises(UnreadableBody) as refusal:
        read_body("OrderPlaced", "configurations.events.v1", ACCOUNT.encode(), value, keeps_copies=keeps_copies)

    assert refusal.value.reason == Unreadable.WRONG_TOPIC


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda each: st.dictionaries(st.text(), each)))
def test_any_json_is_read_or_refused_with_an_answer_that_can_be_sent(body: object) -> None:
    refusal = _refusal("DeleteConfiguration", {"unexpected": body, "": 1} if not isinstance(body, dict) else body)

    assert refusal.reason in {Unreadable.INVALID_BODY, Unreadable.NOT_JSON}
    for error in refusal.errors:
        assert json.loads(error.model_dump_json())["location"]


def test_a_known_message_under_its_own_name_stays_itself_in_a_copy() -> None:
    value = raw(a_body("ConfigurationDeleted"))
    state = read_body("ConfigurationDeleted", "configurations.events.v1", ACCOUNT.encode(), value, keeps_copies=True)

    assert type(state) is ConfigurationDeleted
