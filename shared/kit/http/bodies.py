"""Request bodies: JSON that is taken exactly as it stands, without any guessing at what was meant.

FastAPI parses JSON into Python values first and then validates these, and in that order strictness is lost: a strict
model would refuse every UUID, since in JSON it is a string, and a lax one takes "3" for 3 and true for 1. So the bytes
reach the model unparsed (see `intake`), and it reads them in pydantic's JSON mode, strictly.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, ValidationError, WithJsonSchema
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema, from_json

from shared.contracts.json_keys import repeated_key

_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,18})?", re.ASCII)
_NUL_ESCAPED = rb"\u0000"


def _decimal_in_a_string(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str):
        message = 'must be a decimal number in a string, such as "12.50"'
        raise ValueError(message)  # noqa: TRY004 - pydantic turns a ValueError into a field error, a TypeError not
    if not _DECIMAL.fullmatch(value):
        message = "must be a decimal number of at most 18 digits before and after the point, without exponent"
        raise ValueError(message)
    return Decimal(value)


#: An exact decimal, in JSON a string: numbers lose digits in most JSON readers, so they are refused.
DecimalText = Annotated[
    Decimal,
    BeforeValidator(_decimal_in_a_string),
    WithJsonSchema({"type": "string", "pattern": f"^{_DECIMAL.pattern}$", "examples": ["100.00"]}),
]


class BodyPart(BaseModel):
    """An object inside a request body: unknown fields are refused by name."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RequestBody(BodyPart):
    """The body of a request; also made from Python values, by its own constructor and in tests."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        """Let the model read itself from bytes wherever it may be made from Python values."""
        schema = handler(source)

        def read(value: object, inner: core_schema.ValidatorFunctionWrapHandler) -> object:
            if not isinstance(value, bytes):
                return inner(value)
            _refuse_nul(cls.__name__, value)
            body = cls.__pydantic_validator__.validate_json(value, strict=True)
            _refuse_repeated_keys(cls.__name__, value)
            return body

        # Not a wrap validator of the model: pydantic hands such a one Python values in JSON mode, too.
        python_schema = core_schema.no_info_wrap_validator_function(read, schema)
        return core_schema.json_or_python_schema(json_schema=schema, python_schema=python_schema)


def _refuse_nul(title: str, body: bytes) -> None:
    # PostgreSQL takes NUL in no text; JSON can only write it as an escape, so most bodies need no walk.
    if _NUL_ESCAPED not in body:
        return
    try:
        value = from_json(body)
    except ValueError:
        return  # malformed: the model's own reading says how
    fault = PydanticCustomError("nul_character", "must not contain the character NUL")
    details = [InitErrorDetails(type=fault, loc=location, input=None) for location in _nul_locations(value)]
    if details:
        raise ValidationError.from_exception_data(title, details, input_type="json", hide_input=True)


def _refuse_repeated_keys(title: str, body: bytes) -> None:
    # Which of the two values is meant depends on the reader; ours would take the last in silence.
    repeated = repeated_key(body)
    if repeated is not None:
        fault = PydanticCustomError("repeated_key", "stands there more than once")
        details = [InitErrorDetails(type=fault, loc=repeated, input=None)]
        raise ValidationError.from_exception_data(title, details, input_type="json", hide_input=True)


def _nul_locations(value: Any) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 - JSON is of any type
    if isinstance(value, str):
        if "\0" in value:
            yield ()
        return
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in children:
        if isinstance(name, str) and "\0" in name:
            yield (name.replace("\0", "\N{REPLACEMENT CHARACTER}"),)
        for location in _nul_locations(inner):
            yield (name, *location)
