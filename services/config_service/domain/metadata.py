"""Metadata: what clients write on a ledger portfolio for themselves, and how a merge patch changes it."""

import json
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.contracts.values import storable

from .ledgers import LedgerRequestInvalid, refusal_of

LONGEST_KEY: Final = 100
LONGEST_VALUE: Final = 2_000
#: Of the whole as JSON: it has to fit into a reply on the bus, and a hundred of them into an answer.
MOST_BYTES: Final = 128 * 1024
_LEAST, _MOST = -(2**63), 2**63 - 1
_TEXT: Final = {"type": "string", "maxLength": LONGEST_VALUE}
_SCALARS: Final = [
    _TEXT,
    {"type": "number", "minimum": _LEAST, "maximum": _MOST},
    {"type": "boolean"},
    {"type": "null"},
]


def _key(key: str) -> str:
    if len(key) > LONGEST_KEY:
        kind = "metadata_key_length"
        raise PydanticCustomError(kind, "a key has at most 100 characters")
    return storable(key)


def _value(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        kind = "metadata_nesting"
        raise PydanticCustomError(kind, "a value is a scalar or an array of scalars, no object")
    if not isinstance(value, list):
        return _scalar(value)
    if any(isinstance(item, dict | list) for item in value):
        kind = "metadata_nesting"
        raise PydanticCustomError(kind, "an array holds scalars alone")
    return [_scalar(item) for item in value]


def _scalar(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        if len(value) > LONGEST_VALUE:
            kind = "metadata_value_length"
            raise PydanticCustomError(kind, "a string has at most 2000 characters")
        return storable(value)
    if isinstance(value, int | float) and not _LEAST <= value <= _MOST:
        # Beyond that JSON readers differ in what they make of a number; NaN and Infinity are none.
        message = "a number is between -2^63 and 2^63 - 1"
        raise ValueError(message)
    return value


#: Keys and values as they are sent; null takes a key away, or says that there is none.
Metadata = Annotated[
    dict[Annotated[str, AfterValidator(_key)], Annotated[JsonValue, AfterValidator(_value)]],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"maxLength": LONGEST_KEY},
            "additionalProperties": {"anyOf": [*_SCALARS, {"type": "array", "items": {"anyOf": _SCALARS}}]},
        }
    ),
]


def merged(before: Mapping[str, JsonValue], patch: Mapping[str, JsonValue] | None) -> dict[str, JsonValue]:
    """Give the metadata after a merge patch (RFC 7396): keys set to null are gone, None clears all.

    Raises LedgerRequestInvalid where the whole grows beyond 128 KiB.
    """
    if patch is None:
        return {}
    after: dict[str, JsonValue] = {key: value for key, value in {**before, **patch}.items() if value is not None}
    if len(json.dumps(after, ensure_ascii=False).encode()) > MOST_BYTES:
        raise _too_large()
    return after


def _too_large() -> LedgerRequestInvalid:
    fault = {"type": "metadata_size", "loc": ("metadata",), "msg": f"all of it has at most {MOST_BYTES} bytes as JSON"}
    return refusal_of([fault], within="body")
