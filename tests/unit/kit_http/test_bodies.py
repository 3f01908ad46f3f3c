"""Bodies are taken exactly as they stand, and every wrong field is named."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.kit.http import DecimalText, RequestBody

ID = "0190d0a0-0000-7000-8000-000000000001"
JSON = {"Content-Type": "application/json"}


class Payment(RequestBody):
    amount: DecimalText


async def _errors(ask: Any, **fields: object) -> dict[str, str]:
    reply = await ask("POST", "/things", json={"allocation_id": ID, **fields})
    assert reply.is_problem("invalid_request", 400)
    errors: dict[str, str] = reply.errors()
    return errors


async def test_a_well_formed_body_is_read_into_its_types(ask: Any) -> None:
    reply = await ask("POST", "/things", json={"allocation_id": ID.upper(), "amount": "12.50", "parts": []})
    assert (reply.status, reply.body) == (201, {"allocation_id": ID, "amount": "12.50"})


async def test_the_id_of_the_seed_that_ends_in_g_is_named(ask: Any) -> None:
    errors = await _errors(ask, allocation_id="1aff8f71-3b46-4d54-b7b6-2e2c6d5e1a9g")
    assert list(errors) == ["body.allocation_id"]
    assert "UUID" in errors["body.allocation_id"]


async def test_all_wrong_fields_are_named_at_once(ask: Any) -> None:
    errors = await _errors(ask, count="x", parts=[{"weight": "1", "instrument_id": "a"}, {"weight": "1"}], other=1)
    assert errors["body.other"] == "is not a known field"
    assert errors["body.parts.1.instrument_id"] == "is required"
    assert errors.keys() == {"body.count", "body.other", "body.parts.1.instrument_id"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", "1"),
        ("count", True),
        ("count", 1.0),
        ("switched_on", 1),
        ("switched_on", "yes"),
        ("name", 1),
        ("name", ["a"]),
        ("amount", 12.5),
        ("amount", 12),
        ("amount", "1e2"),
        ("amount", "NaN"),
        ("amount", "Infinity"),
        ("amount", " 1"),
        ("amount", "1_000"),
        ("amount", "\u0661"),
        ("amount", "1" * 40),
        ("at", 1_700_000_000),
        ("at", "2026-01-01T00:00:00"),
        ("parts", {"0": {}}),
        ("allocation_id", None),
        ("allocation_id", 1),
    ],
)
async def test_nothing_is_guessed(ask: Any, field: str, value: object) -> None:
    assert list(await _errors(ask, **{field: value})) == [f"body.{field}"]


async def test_a_field_set_to_null_where_that_is_allowed_is_taken(ask: Any) -> None:
    assert (await ask("POST", "/things", json={"allocation_id": ID, "amount": None})).status == 201


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"\xff\xfe",
        b'{"allocation_id": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\x00b"}',
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b"1" * 10_000,
        b"{'allocation_id': 1}",
        b"\xef\xbb\xbf{}",
        b'{"count": NaN}',
        b'{"count": 1' + b"0" * 5_000 + b"}",
        b'{"count": 1e999}',
    ],
)
async def test_what_is_no_json_object_is_400_and_points_at_the_body(ask: Any, body: bytes) -> None:
    reply = await ask("POST", "/things", data=body, headers=JSON)
    assert reply.is_problem("invalid_request", 400)
    assert all(location.split(".")[0] == "body" for location in reply.errors())


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"allocation_id": ID, "name": "a\0"}, "body.name"),
        ({"allocation_id": ID, "parts": [{"weight": "1", "instrument_id": "\0"}]}, "body.parts.0.instrument_id"),
        ({"allocation_id": ID, "a\0": 1}, "body.a\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_the_character_nul_is_refused_wherever_it_stands(ask: Any, body: object, location: str) -> None:
    reply = await ask("POST", "/things", data=json.dumps(body), headers=JSON)
    assert reply.is_problem("invalid_request", 400)
    assert reply.errors() == {location: "must not contain the character NUL"}


async def test_a_backslash_before_u0000_is_only_text(ask: Any) -> None:
    assert (await ask("POST", "/things", json={"allocation_id": ID, "name": r"\u0000"})).status == 201


@pytest.mark.parametrize("body", [5, [], {"allocation_id": ID, "parts": ["a part"]}])
async def test_no_name_of_ours_stands_in_a_refusal(ask: Any, body: object) -> None:
    reply = await ask("POST", "/things", json=body)
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors().values()) == ["must be an object"]
    assert not {"MakeThing", "Part"} & set(reply.body["detail"].replace(".", " ").split())


async def test_a_field_name_of_any_length_does_not_come_back_whole(ask: Any) -> None:
    errors = await _errors(ask, **{"x" * 100_000: 1})
    assert max(map(len, errors)) <= 200


async def test_at_most_twenty_errors_are_listed(ask: Any) -> None:
    errors = await _errors(ask, **{f"unknown_{number}": 1 for number in range(1000)})
    assert len(errors) == 20


async def test_values_are_never_echoed(ask: Any) -> None:
    reply = await ask("POST", "/things", json={"allocation_id": "hunter2", "name": 5, "at": "hunter2"})
    assert "hunter2" not in str(reply.body)


def test_a_body_can_be_made_by_its_constructor_and_is_frozen() -> None:
    payment = Payment(amount=Decimal("1.10"))
    assert payment.amount == Decimal("1.10")
    with pytest.raises(ValidationError):
        payment.amount = Decimal(2)  # type: ignore[misc]


@given(st.decimals(min_value=-(10**17), max_value=10**17, places=18))
def test_every_decimal_that_fits_is_read_exactly(amount: Decimal) -> None:
    body = json.dumps({"amount": f"{amount:f}"}).encode()
    assert Payment.model_validate(body).amount == amount


def test_a_uuid_is_read_into_its_canonical_form() -> None:
    class Named(RequestBody):
        id: UUID

    assert str(Named.model_validate(json.dumps({"id": ID.upper()}).encode()).id) == ID
