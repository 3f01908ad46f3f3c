"""Times, decimals and texts of messages: what is taken, what is refused, and that they come back as they were."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.contracts import (
    DecimalString,
    Name,
    Revision,
    Timestamp,
    format_decimal,
    format_time,
    parse_decimal,
    parse_time,
)


class Sum(BaseModel):
    model_config = ConfigDict(strict=True)

    amount: DecimalString


class Moment(BaseModel):
    model_config = ConfigDict(strict=True)

    at: Timestamp


class Named(BaseModel):
    model_config = ConfigDict(strict=True)

    name: Name = ""
    revision: Revision = 1


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)  # noqa: DTZ001 - bounds are naive
plain = st.from_regex(r"-?(0|[1-9][0-9]{0,16})(\.[0-9]{1,17})?", fullmatch=True)


@given(plain)
def test_a_decimal_comes_back_digit_for_digit(text: str) -> None:
    amount = Sum.model_validate_json(json.dumps({"amount": text}))

    assert amount.amount == Decimal(text)
    assert json.loads(amount.model_dump_json()) == {"amount": text}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_written_in_plain_notation_or_refused(number: Decimal) -> None:
    try:
        amount = Sum(amount=number)
    except ValidationError:
        assert abs(number.adjusted()) + len(number.as_tuple().digits) > 33
        return
    written = json.loads(amount.model_dump_json())["amount"]
    assert parse_decimal(written) == number


@given(st.text())
def test_any_text_is_a_plain_decimal_or_refused_as_one(text: str) -> None:
    try:
        number = parse_decimal(text)
    except ValueError:
        return
    assert number.is_finite()
    assert format_decimal(number) == text


@pytest.mark.parametrize(
    "written",
    [
        *('"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', '"1e3"', '"1E+2"', '""', '" 1"', '"1 "', '"1\\n"', '"+1"'),
        *('".5"', '"5."', '"007"', '"1_000"', '"1,5"', '"0x10"', '"\u0661"', '"--1"', "100.00", "1", "true", "null"),
        *('["1"]', '{"a": 1}', f'"{"9" * 35}"', f'"0.{"1" * 34}"', f'"{"9" * 5000}"'),
    ],
)
def test_what_is_no_decimal_string_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Sum.model_validate_json(f'{{"amount": {written}}}')


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E+999999"), 1.5, 1])
def test_what_is_no_finite_decimal_is_refused_before_it_is_sent(number: object) -> None:
    with pytest.raises(ValidationError):
        Sum.model_validate({"amount": number})


@pytest.mark.parametrize("text", ["9" * 34, "-" + "9" * 34, "0." + "1" * 33, "-0", "0.00"])
def test_a_decimal_may_have_thirty_four_digits(text: str) -> None:
    assert format_decimal(Sum(amount=parse_decimal(text)).amount) == text


@given(moments)
def test_a_time_comes_back_to_the_microsecond_and_in_utc(moment: datetime) -> None:
    written = json.loads(Moment(at=moment).model_dump_json())
    again = Moment.model_validate_json(json.dumps(written))

    assert written["at"].endswith("Z")
    assert again.at == moment
    assert again.at.tzinfo is UTC


@given(moments, moments)
def test_written_times_sort_as_times_do(one: datetime, other: datetime) -> None:
    assert (format_time(one) < format_time(other)) == (one < other)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00.5z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00+05:30", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_rfc_3339_has_it(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "written",
    [
        *('"2026-01-31T12:00:00"', '"2026-01-31"', '"2026-01-31 12:00:00Z"', '"1700000000"', "1700000000", "null"),
        *('"2026-02-30T12:00:00Z"', '"2026-01-31T25:00:00Z"', '"2026-01-31T12:00:00+25:00"', '"now"', '""'),
        *('"0001-01-01T00:00:00+05:00"', '"2026-01-31T12:00:00.1234567890Z"', '"2026-01-31T12:00:00Z\\n"'),
    ],
)
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Moment.model_validate_json(f'{{"at": {written}}}')


def test_a_time_without_an_offset_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValidationError, match="offset"):
        Moment(at=datetime(2026, 1, 31))  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize("body", ['{"name": "a\\u0000b"}', '{"name": 1}', '{"revision": "1"}', '{"revision": 1.0}'])
def test_wrong_texts_and_counters_are_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        Named.model_validate_json(body)


@pytest.mark.parametrize("revision", [0, -1, 2**63])
def test_a_counter_begins_at_one_and_fits_the_database(revision: int) -> None:
    with pytest.raises(ValidationError):
        Named(revision=revision)


def test_the_refusal_of_nul_says_so() -> None:
    with pytest.raises(ValidationError, match="NUL"):
        Named.model_validate_json('{"name": "\\u0000"}')


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValidationError):
        Named(name="\ud800")
    with pytest.raises(ValidationError):
        Named.model_validate_json('{"name": "\\ud800"}')


def test_a_name_has_at_most_256_characters() -> None:
    assert Named(name="é" * 256).name == "é" * 256
    with pytest.raises(ValidationError):
        Named(name="é" * 257)
