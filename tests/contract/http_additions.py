"""What may change in the OpenAPI document of a service: additions only.

Operations, optional parameters and problems may be added. What was accepted must still be accepted, and what was
answered must still be understood: the rules of commands hold for parameters and bodies of requests, those of events for
bodies of answers.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .additions import breaking_changes

Json = dict[str, Any]


def breaking_changes_of_api(old: Json, new: Json) -> list[str]:
    """Name every difference between two documents of a service that is not an addition; an empty list allows it."""
    now = dict(_operations(new))
    found = []
    for name, operation in _operations(old):
        if name in now:
            comparison = _Comparison(old, new)
            found += [f"{name}: {change}" for change in comparison.of(operation, now[name])]
        else:
            found.append(f"{name}: was removed")
    return found


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _definitions(document: Json) -> Json:
    schemas = document["components"]["schemas"]
    definitions: Json = json.loads(json.dumps(schemas).replace("#/components/schemas/", "#/$defs/"))
    return definitions


class _Comparison:
    """Two versions of one operation."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new
        self._old_definitions, self._new_definitions = _definitions(old), _definitions(new)

    def of(self, old: Json, new: Json) -> Iterator[str]:
        yield from self._parameters(_parameters(old), _parameters(new))
        yield from self._request(old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(old["responses"], new["responses"])
        yield from _scopes(old, new)

    def _parameters(self, old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
        for name, before in old.items():
            after = new.get(name)
            if after is None:
                yield f"{name}: was removed"
                continue
            if after.get("required", False) and not before.get("required", False):
                yield f"{name}: is now required"
            yield from self._schemas(before["schema"], after["schema"], name, kind="command")
        yield from (
            f"{name}: is new and required"
            for name, after in new.items()
            if name not in old and after.get("required", False)
        )

    def _request(self, old: Json | None, new: Json | None) -> Iterator[str]:
        if old is None:
            if new is not None and new.get("required", False):
                yield "request: a body is now required"
            return
        if new is None:
            yield "request: the body was removed"
            return
        if new.get("required", False) and not old.get("required", False):
            yield "request: a body is now required"
        yield from self._contents(old, new, "request", kind="command")

    def _answers(self, old: Json, new: Json) -> Iterator[str]:
        for status in old:
            if status not in new:
                # A problem that comes no more surprises nobody.
                if status.startswith("2"):
                    yield f"{status}: was removed"
                continue
            before, after = _response(self._old, old[status]), _response(self._new, new[status])
            gone = before.get("headers", {}).keys() - after.get("headers", {}).keys()
            yield from (f"{status}: the header {name} was removed" for name in sorted(gone))
            yield from self._contents(before, after, status, kind="event")
        yield from (f"{status}: is a new success" for status in new if status.startswith("2") and status not in old)

    def _contents(self, old: Json, new: Json, at: str, *, kind: str) -> Iterator[str]:
        before, after = old.get("content", {}), new.get("content", {})
        yield from (f"{at}: {media} was removed" for media in before if media not in after)
        for media in before.keys() & after.keys():
            yield from self._schemas(before[media].get("schema", {}), after[media].get("schema", {}), at, kind=kind)

    def _schemas(self, old: Json, new: Json, at: str, *, kind: str) -> Iterator[str]:
        before = self._standing_alone(old, self._old_definitions, kind)
        after = self._standing_alone(new, self._new_definitions, kind)
        yield from (f"{at}: {change}" for change in breaking_changes(before, after))

    @staticmethod
    def _standing_alone(schema: Json, definitions: Json, kind: str) -> Json:
        own: Json = json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/"))
        own.pop("title", None)
        return {**own, "$defs": definitions, "x-kind": kind}


def _response(document: Json, response: Json) -> Json:
    name = response.get("$ref", "").rpartition("/")[2]
    referred: Json = document["components"]["responses"][name] if name else response
    return referred


def _parameters(operation: Json) -> dict[str, Json]:
    return {f"{each['in']}.{each['name'].lower()}": each for each in operation.get("parameters", ())}


def _scopes(old: Json, new: Json) -> Iterator[str]:
    """Whoever was let in with some scopes must still be let in with them."""
    asked = [set(_asked(requirement)) for requirement in new.get("security", ())]
    for requirement in old.get("security", [{}]):
        given = set(_asked(requirement))
        if asked and not any(wanted <= given for wanted in asked):
            yield f"security: {', '.join(sorted(given)) or 'no scope'} is no longer enough"


def _asked(requirement: Json) -> Iterator[str]:
    for scheme, scopes in requirement.items():
        yield scheme
        yield from scopes
