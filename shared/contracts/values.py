"""The types that the fields of messages are made of: text, times, decimals, counters.

Money and weights travel as JSON strings and are `Decimal` inside, so that no float ever touches them; times are
RFC 3339 in UTC. What is written here is the wire: a type may grow wider for commands and may not change for events.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, Strict, ValidationInfo, WithJsonSchema

T = TypeVar("T")

#: Significant and other digits that a decimal may have: those of IEEE 754 decimal128.
MAX_DECIMAL_DIGITS: Final = 34
#: The largest counter that PostgreSQL's bigint and every JSON reader in use can hold.
MAX_COUNTER: Final = 2**63 - 1

DECIMAL_PATTERN: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_DECIMAL = re.compile(DECIMAL_PATTERN.removesuffix("$") + r"\Z")
_MAX_DECIMAL_TEXT = MAX_DECIMAL_DIGITS + 2  # a sign and a point
_TOO_MANY_DIGITS = f"a decimal has at most {MAX_DECIMAL_DIGITS} digits"
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def as_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC; a time without an offset is a ValueError, because it names no moment."""
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None or moment.utcoffset() is None:
        message = "a time needs an offset, such as Z"
        raise ValueError(message)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "the time is out of range"
        raise ValueError(message) from None


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time into UTC, microseconds kept (finer digits are cut off); ValueError says what is wrong."""
    if not _RFC_3339.fullmatch(text):
        message = "a time is written as in RFC 3339, with an offset, such as 2026-01-31T12:00:00.000000Z"
        raise ValueError(message)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        message = "there is no such time"
        raise ValueError(message) from None
    return as_utc(moment)


def format_time(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC with `Z` and always six decimals, so that texts sort as times do."""
    return as_utc(moment).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_decimal(text: str) -> Decimal:
    """Read a finite decimal in plain notation of at most 34 digits; ValueError says what is wrong."""
    if len(text) > _MAX_DECIMAL_TEXT or not _DECIMAL.match(text):
        message = 'a decimal is a string in plain notation of at most 34 digits, such as "100.00"'
        raise ValueError(message)
    if len(text) - text.startswith("-") - ("." in text) > MAX_DECIMAL_DIGITS:
        raise ValueError(_TOO_MANY_DIGITS)
    return Decimal(text)


def within_digits(number: Decimal) -> Decimal:
    """Return the decimal if it is finite and its plain notation has at most 34 digits, else raise ValueError."""
    _, significant, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        message = "a decimal must be finite"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns only ValueError into a validation error
    # Counted before it is written out: 1E+999999999 in plain notation would fill the memory.
    digits = len(significant)
    written = digits + exponent if exponent >= 0 else max(digits, 1 - exponent)
    if written > MAX_DECIMAL_DIGITS:
        raise ValueError(_TOO_MANY_DIGITS)
    return number


def format_decimal(number: Decimal) -> str:
    """Write a decimal in plain notation, never with an exponent; its trailing zeros are kept."""
    return format(number, "f")


def _time(value: object, info: ValidationInfo) -> datetime:
    if info.mode == "json" and isinstance(value, str):
        return parse_time(value)
    if isinstance(value, datetime):
        return as_utc(value)
    message = "a time is a string as in RFC 3339" if info.mode == "json" else "a time is a datetime with an offset"
    raise ValueError(message)


def _decimal(value: object, info: ValidationInfo) -> Decimal:
    if info.mode == "json" and isinstance(value, str):
        return parse_decimal(value)
    if isinstance(value, Decimal):
        return within_digits(value)
    message = "a decimal travels as a JSON string" if info.mode == "json" else "a decimal is a Decimal"
    raise ValueError(message)


def storable(text: str) -> str:
    """Return the text if PostgreSQL and UTF-8 can hold it: no NUL, no lone surrogate; else raise ValueError."""
    if "\0" in text:
        message = "text must not contain the character NUL (U+0000)"
        raise ValueError(message)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "text must not contain lone surrogates"
        raise ValueError(message) from None
    return text


#: An aware datetime, held in UTC and written as RFC 3339 with six decimals and `Z`.
Timestamp = Annotated[
    datetime,
    PlainValidator(_time),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

#: A finite Decimal of at most 34 digits; a JSON string in plain notation, never a JSON number.
DecimalString = Annotated[
    Decimal,
    PlainValidator(_decimal),
    PlainSerializer(format_decimal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": _MAX_DECIMAL_TEXT}),
]

#: A JSON array, held as a tuple so that messages stay immutable; Python code may give a list.
Listed = Annotated[tuple[T, ...], Strict(strict=False)]

#: Free text; the other texts are this one with their own bound.
Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[Text, Field(max_length=256)]
ShortText = Annotated[Text, Field(max_length=128)]
LongText = Annotated[Text, Field(max_length=2048)]
#: ISO 4217 alphabetic code; which codes exist is the order service's rule.
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
#: Grows by one with every event of a key; from 1.
Revision = Annotated[int, Field(ge=1, le=MAX_COUNTER)]
#: Grows by one with every configuration that an account ever had; from 1.
Version = Annotated[int, Field(ge=1, le=MAX_COUNTER)]
