"""What may change in the schema of a message that was released: additions only.

Commands are written by others and read by us: whatever was accepted must still be accepted, so new fields are optional
and bounds only loosen. Events are written by us and read by others, and also by us from topics that keep old ones: what
was sent must still be readable and what is sent must still be understood, so nothing of a field may change but for one
thing: an enum may get another value, for which consumers are deployed before producers. Field names are compared,
descriptions, titles and defaults are not.
"""

from collections.abc import Iterable, Iterator
from typing import Any

Schema = dict[str, Any]

_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_FIXED = ("type", "format", "pattern", "uniqueItems")
#: NUL has never been taken in any text that we are sent; where that was not said, saying it changes nothing
_WITHOUT_NUL = r"^[^\u0000]*$"


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Name every difference between two schemas of one message that is not an addition; an empty list allows it.

    The direction is that of the old schema's `x-kind`: command or event.
    """
    moved = [f"{name} changed" for name in ("x-kind", "x-topic", "x-key", "title") if old.get(name) != new.get(name)]
    comparison = _Comparison(old, new, is_command=old.get("x-kind") == "command")
    return [*moved, *comparison.of(old, new, "body")]


class _Comparison:
    def __init__(self, old: Schema, new: Schema, *, is_command: bool) -> None:
        self._old_definitions = old.get("$defs", {})
        self._new_definitions = new.get("$defs", {})
        self._is_command = is_command

    def of(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        old, new = _resolved(old, self._old_definitions), _resolved(new, self._new_definitions)
        if "anyOf" in old or "anyOf" in new:
            yield from self._alternatives(old, new, at)
            return
        if self._is_command and "pattern" not in old and new.get("pattern") == _WITHOUT_NUL:
            old = {**old, "pattern": _WITHOUT_NUL}
        yield from (f"{at}: {name} changed" for name in _FIXED if old.get(name) != new.get(name))
        yield from self._values(old, new, at)
        yield from self._bounds(old, new, at)
        yield from self._properties(old, new, at)
        yield from self._nested(old, new, at)

    def _alternatives(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        (old_null, old_others), (new_null, new_others) = _split(old), _split(new)
        if old_null and not new_null:
            yield f"{at}: may no longer be null"
        if new_null and not old_null and not self._is_command:
            yield f"{at}: may now be null"
        if len(old_others) != len(new_others):
            yield f"{at}: has other alternatives"
            return
        for before, after in zip(old_others, new_others, strict=True):
            yield from self.of(before, after, at)

    def _values(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = _choices(old), _choices(new)
        if before is None and after is None:
            return
        if before is None:
            yield f"{at}: now takes only some values"
        elif after is None:
            if not self._is_command:
                yield f"{at}: now takes any value"
        else:
            yield from (f"{at}: the value {value!r} was removed" for value in before if value not in after)

    def _bounds(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        for name in (*_UPPER, *_LOWER):
            before, after = old.get(name), new.get(name)
            if before == after or (self._is_command and _loosened(name, before, after)):
                continue
            yield f"{at}: {name} changed from {before} to {after}"

    def _properties(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in before.items():
            where = f"{at}.{name}"
            if name not in after:
                yield f"{where}: was removed"
                continue
            if name in is_required - was_required:
                yield f"{where}: is now required"
            if name in was_required - is_required and not self._is_command:
                yield f"{where}: is no longer required"
            yield from self.of(schema, after[name], where)
        yield from (f"{at}.{name}: is new and required" for name in after if name not in before and name in is_required)

    def _nested(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.of(before, after, f"{at}.*")
        elif before != after and not (self._is_command and after is True):
            yield f"{at}: additionalProperties changed"
        if "items" in old and "items" in new:
            yield from self.of(old["items"], new["items"], f"{at}[]")
        elif ("items" in old) != ("items" in new):
            yield f"{at}: items changed"


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    return schema


def _split(schema: Schema) -> tuple[bool, list[Schema]]:
    alternatives = schema.get("anyOf", [schema])
    others = [each for each in alternatives if each.get("type") != "null"]
    return len(others) < len(alternatives), others


def _choices(schema: Schema) -> Iterable[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    choices: list[Any] | None = schema.get("enum")
    return choices


def _loosened(name: str, before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return after is None
    return after > before if name in _UPPER else after < before
