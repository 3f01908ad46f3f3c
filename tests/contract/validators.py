"""Validators of JSON Schema and of OpenAPI, imported as they are used.

Importing them takes seconds, for a grammar that one of their dependencies builds; each worker of the tests would do so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft7Validator, Draft202012Validator

Json = dict[str, Any]


def by_draft_2020(schema: Json) -> Draft202012Validator:
    """What validates by a schema that is itself valid, formats included; raises SchemaError for one that is not."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 -- see above

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def by_draft_7(schema: Json) -> Draft7Validator:
    """What validates by a schema of draft 7."""
    from jsonschema import Draft7Validator  # noqa: PLC0415 -- see above

    return Draft7Validator(schema)


def openapi_errors(document: Json) -> list[str]:
    """What makes it no OpenAPI document of version 3.1."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 -- see above

    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
