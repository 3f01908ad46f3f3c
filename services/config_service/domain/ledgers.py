"""Organizations and their ledgers, and what is wrong with a request to the ledger, in the codes of its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.contracts import Name, Timestamp
from shared.kit.refusals import Conflict, FieldError, InvalidRequest, NotFound

NOT_FOUND: Final = "0007"
_MISSING_FIELDS: Final = "0009"
_BAD_FIELD: Final = "0047"
_UNEXPECTED_FIELDS: Final = "0053"
_BAD_PATH: Final = "0065"
LIMIT_EXCEEDED: Final = "0080"
_BAD_SORT_ORDER: Final = "0081"
BAD_QUERY: Final = "0082"
BAD_DATES: Final = "0083"
_MALFORMED: Final = "0094"
#: What validation finds wrong with a field, and its code where that is not 0047.
_FIELD_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": _MISSING_FIELDS,
        "extra_forbidden": _UNEXPECTED_FIELDS,
        "json_invalid": _MALFORMED,
        "metadata_key_length": "0050",
        "metadata_value_length": "0051",
        "metadata_nesting": "0067",
    }
)
#: What it is called where many things are wrong at once.
_WEIGHTIEST: Final = (_MALFORMED, _UNEXPECTED_FIELDS, _MISSING_FIELDS)
#: Parameters of the query with a code of their own.
_QUERY_CODES: Final = {"sort_order": _BAD_SORT_ORDER, "start_date": BAD_DATES, "end_date": BAD_DATES}
_TOO_MANY: Final = ("limit", "less_than_equal")
_PLAIN_WORDS: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    # pydantic would name the class that reads it.
    "model_type": "must be an object",
}
_MOST_SHOWN: Final = 20
_LONGEST_LOCATION: Final = 200


@dataclass(frozen=True)
class Organization:
    """Who keeps ledgers."""

    organization_id: UUID
    legal_name: str
    legal_document: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Ledger:
    """A book of an organization; its portfolios stand in it."""

    ledger_id: UUID
    organization_id: UUID
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class LedgerRef:
    """Which ledger is meant, by whom, and as a ledger of which organization; nothing of it is known to be right."""

    client_id: UUID
    organization_id: UUID
    ledger_id: UUID


class CamelBody(BaseModel):
    """A body sent to the ledger: strict, fields in camelCase, unknown ones refused."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_camel
    )


class CamelResource(BaseModel):
    """What the ledger shows: fields in camelCase."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=False, serialize_by_alias=True
    )


LedgerName = Annotated[Name, Field(min_length=1)]


class OrganizationToMake(CamelBody):
    """A new organization."""

    legal_name: LedgerName = Field(description="What it is called by law", examples=["Aurora Asset Management Oy"])
    legal_document: LedgerName = Field(description="The number it is registered under", examples=["2345678-9"])


class LedgerToMake(CamelBody):
    """A new ledger."""

    name: LedgerName = Field(description="No two ledgers of an organization have the same", examples=["Retail clients"])


class OrganizationResource(CamelResource):
    """An organization."""

    id: UUID = Field(description="The organization")
    legal_name: str = Field(description="What it is called by law", examples=["Aurora Asset Management Oy"])
    legal_document: str = Field(description="The number it is registered under", examples=["2345678-9"])
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")

    @classmethod
    def of(cls, organization: Organization) -> Self:
        """Show an organization."""
        shown = {name: value for name, value in vars(organization).items() if name != "organization_id"}
        return cls(id=organization.organization_id, **shown)


class LedgerResource(CamelResource):
    """A ledger."""

    id: UUID = Field(description="The ledger")
    organization_id: UUID = Field(description="The organization that keeps it")
    name: str = Field(description="What it is called", examples=["Retail clients"])
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """Show a ledger."""
        shown = {name: value for name, value in vars(ledger).items() if name != "ledger_id"}
        return cls(id=ledger.ledger_id, **shown)


class OrganizationNotFound(NotFound):
    """There is no such organization."""

    code = NOT_FOUND


class LedgerNotFound(NotFound):
    """There is no such ledger in this organization."""

    code = NOT_FOUND


class LedgerNameTaken(Conflict):
    """The organization has a ledger of this name already."""


class LedgerRequestInvalid(InvalidRequest):
    """The request is not valid."""


def refusal_of(faults: Sequence[Mapping[str, Any]], *, within: str | None = None) -> LedgerRequestInvalid:
    """Refuse what pydantic found at fault, by field and under the model's code.

    `faults` stand at paths that begin with `path`, `query`, `header` or `body`; with `within` they are the body's own,
    and are named as fields of `within`.
    """
    placed = [(tuple(fault["loc"]) if within is None else (within, *fault["loc"]), fault) for fault in faults]
    codes = [_code_of(place, fault["type"]) for place, fault in placed]
    code = next((each for each in _WEIGHTIEST if each in codes), codes[0])
    errors = [_field_error(place, fault) for place, fault in placed[:_MOST_SHOWN]]
    sentence = "; ".join(f"{error.location}: {error.message}" for error in errors[:3])
    return LedgerRequestInvalid(f"The request is not valid: {sentence}.", errors=errors, code=code)


def in_codes(refused: InvalidRequest) -> InvalidRequest:
    """Give a refusal that the kit has raised the model's code, if what is wrong stands in the path or the query."""
    if refused.code is None and refused.errors:
        refused.code = _code_of(tuple(refused.errors[0].location.split(".")), "")
    return refused


def query_refusal(name: str, message: str, code: str) -> LedgerRequestInvalid:
    """Refuse one parameter of the query."""
    error = FieldError(f"query.{name}", message)
    return LedgerRequestInvalid(f"The request is not valid: {error.location}: {message}.", errors=[error], code=code)


def _code_of(place: tuple[str | int, ...], kind: str) -> str | None:
    match place:
        case ("path", *_):
            return _BAD_PATH
        case ("header", *_):
            return None
        case ("query", name, *_):
            return LIMIT_EXCEEDED if (name, kind) == _TOO_MANY else _QUERY_CODES.get(str(name), BAD_QUERY)
        case _:
            # What is wrong with the body as a whole leaves no field to look at.
            return _MALFORMED if len(place) == 1 else _FIELD_CODES.get(kind, _BAD_FIELD)


def _field_error(place: tuple[str | int, ...], fault: Mapping[str, Any]) -> FieldError:
    # pydantic marks a key that is at fault itself.
    location = ".".join(str(part) for part in place if part != "[key]")[:_LONGEST_LOCATION]
    message = _PLAIN_WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    return FieldError(location, message)
