"""Examples in an OpenAPI document: every field has one, and bodies are composed of their fields' examples."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = dict[str, Any]

#: What stands where a schema has no example of its own.
_BY_FORMAT: Final[Mapping[str, str]] = {
    "uuid": "0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e",
    "date-time": "2026-01-31T12:30:00Z",
    "date": "2026-01-31",
    "uri": "https://example.com/hook",
}
#: Of these, the first one that fits stands for a text that has a pattern and no example of its own.
_PATTERNED: Final = ("1.00", "EUR", "US0378331005", "0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e", "2026-01-31", "abcd")
_DEEPEST: Final = 12


def with_examples(schemas: Mapping[str, Json]) -> None:
    """Give every property of object schemas an example, unless it has one."""
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if "examples" not in field and "$ref" not in field:
                field["examples"] = [example_of(field, schemas, name=name)]


def example_of(schema: Json, schemas: Mapping[str, Json], *, name: str = "", depth: int = 0) -> Any:  # noqa: ANN401 - JSON is of any type
    """Compose an example of a schema, whose references lead into `schemas`; `name` is that of its field."""
    if "$ref" in schema:
        referred = schemas[schema["$ref"].rpartition("/")[2]]
        return example_of(referred, schemas, name=name, depth=depth + 1)
    for told in _told(schema):
        return told
    alternatives = schema.get("anyOf") or schema.get("oneOf") or []
    if "properties" in schema:
        return _of_object(_first_of(schema, alternatives), schemas, depth)
    if alternatives:
        return _of_alternatives(alternatives, schemas, name, depth)
    if schema.get("type") == "array":
        return [] if depth > _DEEPEST else [example_of(schema.get("items", {}), schemas, name=name, depth=depth + 1)]
    return _of_scalar(schema, name)


def _told(schema: Json) -> Iterator[Any]:
    yield from schema.get("examples", [])[:1]
    for key in ("example", "const"):
        if key in schema:
            yield schema[key]
    yield from schema.get("enum", [])[:1]


def _of_alternatives(alternatives: list[Json], schemas: Mapping[str, Json], name: str, depth: int) -> Any:  # noqa: ANN401 - JSON is of any type
    filled = [each for each in alternatives if each.get("type") != "null"]
    return example_of(filled[0], schemas, name=name, depth=depth + 1) if filled else None


def _first_of(schema: Json, alternatives: list[Json]) -> Json:
    """An object's schema with the first of its alternatives: what that one says, and nothing only others ask for."""
    first, *others = alternatives or [{}]
    told = first.get("properties", {})
    elsewhere = {name for other in others for name in other.get("required", ())} - set(first.get("required", ()))
    fields = {
        name: field | told.get(name, {})
        for name, field in schema["properties"].items()
        if name not in elsewhere - set(schema.get("required", ()))
    }
    return {**schema, "properties": fields}


def _of_object(schema: Json, schemas: Mapping[str, Json], depth: int) -> Json:
    if depth > _DEEPEST:
        return {}
    return {
        name: example_of(field, schemas, name=name, depth=depth + 1)
        for name, field in schema.get("properties", {}).items()
    }


def _of_scalar(schema: Json, name: str) -> Any:  # noqa: ANN401 - JSON is of any type
    match schema.get("type"):
        case "boolean":
            return bool(schema.get("default", True))
        case "integer" | "number":
            return schema.get("default") or schema.get("minimum") or 1
        case "null":
            return None
        case "string":
            return _text(schema, name)
        case _:
            return {}


def _text(schema: Json, name: str) -> str:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    plain = str(schema.get("default") or name.replace("_", " ") or "text")[: schema.get("maxLength")]
    pattern = schema.get("pattern")
    if pattern is None:
        return plain
    return next((text for text in (plain, *_PATTERNED) if re.search(pattern, text)), plain)
