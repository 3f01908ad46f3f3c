"""The OpenAPI document: what FastAPI knows of the routes, with every problem, header, scope and example in it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from fastapi import FastAPI

from shared.kit.refusals import SLUGS, Refused

from . import refused
from .examples import example_of, with_examples
from .links import add_links

Json = dict[str, Any]

_EXAMPLE_REQUEST: Final = "0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e"
_PROBLEM: Final[Json] = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "the kind of problem", "examples": ["/problems/invalid_request"]},
        "title": {"type": "string", "description": "the kind in words", "examples": ["Invalid request"]},
        "status": {"type": "integer", "description": "the HTTP status", "examples": [400]},
        "detail": {"type": "string", "description": "what is wrong", "examples": ["The request is not valid."]},
        "instance": {"type": "string", "description": "the path of the request", "examples": ["/accounts"]},
        "request_id": {
            "type": "string",
            "description": "as in the header X-Request-Id",
            "examples": [_EXAMPLE_REQUEST],
        },
        "code": {
            "type": "string",
            "description": "the code of the ledger's original for this problem, on its routes",
            "examples": ["0007"],
        },
        "errors": {
            "type": "array",
            "description": "the fields that are wrong",
            "examples": [[{"location": "body.account_id", "message": "is required"}]],
            "items": {
                "type": "object",
                "required": ["location", "message"],
                "properties": {
                    "location": {"type": "string", "description": "where it stands", "examples": ["body.account_id"]},
                    "message": {"type": "string", "description": "why it is refused", "examples": ["is required"]},
                },
            },
        },
    },
}
_NO_NUL: Final = r"^[^\u0000]*$"
_BOUND_OTHERWISE: Final = frozenset({"pattern", "format", "enum", "const"})
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")


def _header(description: str, example: str) -> Json:
    return {"description": description, "schema": {"type": "string", "examples": [example]}}


_REQUEST_ID: Final = _header("the request's id, taken or made", _EXAMPLE_REQUEST)
_LOCATION: Final = _header("where the new resource is", "/accounts/0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e")
_ETAG: Final = _header("the resource's revision, for If-Match", '"1"')
_REPLAYED: Final = _header("true on an answer that was given before under the same Idempotency-Key", "true")
_RETRY_AFTER: Final = _header("the seconds after which to try again", "1")
_RATE_LIMIT: Final = {
    "RateLimit": _header("what is left of the client's allowance", '"client";r=199;t=1'),
    "RateLimit-Policy": _header("the client's allowance", '"client";q=200;w=2'),
}
_CHALLENGE: Final = _header("the scheme that is wanted (RFC 6750)", 'Bearer realm="portfolio-bus"')

_PROBLEM_HEADERS: Final[Mapping[int, Json]] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    409: {"Retry-After": _RETRY_AFTER},
    429: {"Retry-After": _RETRY_AFTER, **_RATE_LIMIT},
    503: {"Retry-After": _RETRY_AFTER},
}


class DocumentedApp(FastAPI):
    """A FastAPI whose document tells everything that it may answer with."""

    def openapi(self) -> Json:
        """Give the document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in _FASTAPIS_OWN:
                schemas.pop(name, None)
            schemas["Problem"] = _PROBLEM
            with_examples(schemas)
            for path, operation in operations_of(document):
                _Operation(path, operation, document["components"]).complete()
            for _, operation in operations_of(document):
                asked = [each for each in operation.get("parameters", ()) if each["in"] in {"path", "query"}]
                _refuse_nul([operation.get("requestBody", {}), *asked], schemas, set())
            add_links(document)
            _name_scopes(document)
        return self.openapi_schema or {}


def operations_of(document: Json) -> Iterator[tuple[str, Json]]:
    """Give every operation of a document with its path."""
    for path, methods in document.get("paths", {}).items():
        for operation in methods.values():
            yield path, operation


class _Operation:
    """One operation of the document while it is completed."""

    def __init__(self, path: str, operation: Json, components: Json) -> None:
        self._path = path
        self._operation = operation
        self._schemas: Mapping[str, Json] = components["schemas"]
        self._problem_responses: Json = components.setdefault("responses", {})
        self._responses: Json = operation["responses"]
        self._parameters: Sequence[Json] = operation.get("parameters", [])

    def complete(self) -> None:
        tagged = self._responses.pop("default", {}).get(refused.TAGGED, False)
        # FastAPI claims 422 for what is 400 here; a route's own 422 stays.
        claimed = self._responses.get("422", {})
        if refused.OWN not in claimed and "HTTPValidationError" in str(claimed):
            del self._responses["422"]
        for parameter in self._parameters:
            _complete_parameter(parameter, self._schemas)
        self._show_request()
        problems = self._problems()
        for status in [status for status in self._responses if status.startswith("2")]:
            self._show_answer(status, self._responses[status], tagged=tagged)
        for code, kinds in problems.items():
            # Once in the document, however many operations refuse with it: names are those of the refusals.
            name = ".".join(sorted(kind["name"] for kind in kinds))
            self._problem_responses.setdefault(name, _problem_response(code, kinds))
            self._responses[str(code)] = {"$ref": f"#/components/responses/{name}"}
        self._operation["responses"] = dict(sorted(self._responses.items()))

    def _problems(self) -> dict[int, list[Json]]:
        own = [kind for response in self._responses.values() for kind in response.pop(refused.OWN, ())]
        by_status: dict[int, list[Json]] = {}
        derived = (refused.told(kind) for kind in self._derived({SLUGS[kind["slug"]][0] for kind in own}))
        for kind in chain(own, derived):
            kinds = by_status.setdefault(SLUGS[kind["slug"]][0], [])
            if kind not in kinds:
                kinds.append(kind)
        return by_status

    def _derived(self, named: set[int]) -> Iterator[type[Refused]]:
        yield from refused.ALWAYS
        if self._operation.get("security"):
            yield from refused.WITH_A_SCOPE
        if "{" in self._path and 404 not in named:  # noqa: PLR2004 - the status of refused.WITH_AN_ID
            yield from refused.WITH_AN_ID
        if "requestBody" in self._operation:
            yield from refused.WITH_A_BODY
        if self._has_header("if-match"):
            yield from refused.WITH_A_CONDITION
        if self._has_header("idempotency-key"):
            yield from refused.WITH_A_KEY
            if self._header("idempotency-key").get("required"):
                yield from refused.WITH_A_REQUIRED_KEY

    def _has_header(self, name: str) -> bool:
        return bool(self._header(name))

    def _header(self, name: str) -> Json:
        headers = (each for each in self._parameters if each["in"] == "header")
        return next((each for each in headers if each["name"].lower() == name), {})

    def _show_request(self) -> None:
        for content in self._operation.get("requestBody", {}).get("content", {}).values():
            content.setdefault("example", example_of(content["schema"], self._schemas))

    def _show_answer(self, status: str, response: Json, *, tagged: bool) -> None:
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = _REQUEST_ID
        if self._operation.get("security"):
            headers |= _RATE_LIMIT
        if self._has_header("idempotency-key"):
            headers |= {"Location": _LOCATION, "Idempotency-Replayed": _REPLAYED}
        if tagged or (self._has_header("if-match") and status != "204"):
            headers["ETag"] = _ETAG
        for content in response.get("content", {}).values():
            if content.get("schema"):
                content.setdefault("example", example_of(content["schema"], self._schemas))


def _complete_parameter(parameter: Json, schemas: Mapping[str, Json]) -> None:
    schema = parameter["schema"]
    # A parameter is left out, never null.
    if "anyOf" in schema:
        others = [each for each in schema.pop("anyOf") if each.get("type") != "null"]
        schema |= others[0] if len(others) == 1 else {"anyOf": others}
    if schema.get("default", "") is None:
        del schema["default"]
    if schema.pop("x-required", False):
        parameter["required"] = True
    if "example" not in parameter and "examples" not in parameter:
        parameter["example"] = example_of(schema, schemas, name=parameter["name"])


def _problem_response(status: int, kinds: Sequence[Json]) -> Json:
    examples = {
        kind["name"]: {
            "summary": kind["detail"],
            "value": {
                "type": f"/problems/{kind['slug']}",
                "title": SLUGS[kind["slug"]][1],
                "status": status,
                "detail": kind["detail"],
                "instance": "/the/path/of/the/request",
                "request_id": _EXAMPLE_REQUEST,
            },
        }
        for kind in kinds
    }
    return {
        "description": " ".join(kind["detail"] for kind in kinds),
        "headers": {"X-Request-Id": _REQUEST_ID, **_PROBLEM_HEADERS.get(status, {})},
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
    }


def _refuse_nul(piece: Any, schemas: Mapping[str, Json], seen: set[str]) -> None:  # noqa: ANN401 - JSON is of any type
    """Say of every free text in a request what `RequestBody` and the intake keep to, and PostgreSQL asks for."""
    if isinstance(piece, list):
        for each in piece:
            _refuse_nul(each, schemas, seen)
    if not isinstance(piece, dict):
        return
    referred = str(piece.get("$ref", "")).rpartition("/")[2]
    if referred and referred not in seen:
        seen.add(referred)
        _refuse_nul(schemas[referred], schemas, seen)
    if piece.get("type") == "string" and not piece.keys() & _BOUND_OTHERWISE:
        piece["pattern"] = _NO_NUL
    for word, value in piece.items():
        if word not in {"example", "examples", "default", "enum"}:
            _refuse_nul(value, schemas, seen)


def _name_scopes(document: Json) -> None:
    """Name in the security scheme the scopes that the operations ask for: FastAPI names them there alone."""
    asked = {
        scope
        for _, operation in operations_of(document)
        for requirement in operation.get("security", ())
        for scopes in requirement.values()
        for scope in scopes
    }
    for scheme in document["components"].get("securitySchemes", {}).values():
        for flow in scheme.get("flows", {}).values():
            flow["scopes"] = {scope: _meaning(scope) for scope in sorted(asked)}


def _meaning(scope: str) -> str:
    area, _, level = scope.partition(":")
    return f"read {area}" if level == "read" else f"read and change {area}"
