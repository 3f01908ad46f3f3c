"""The OpenAPI document of each service: valid, complete, in step with the code, and only ever added to."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from deploy.local.services import service_names
from tests.docs.api import document_of, document_text, path_of

from .baselines import REPOSITORY, agreed_commits, text_at
from .http_additions import breaking_changes_of_api
from .validators import by_draft_2020, openapi_errors

Json = dict[str, Any]

STALE = "run python -m tests.docs.api"


@cache
def api(name: str) -> Json:
    return document_of(name)


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _agreed(name: str) -> Iterator[Json]:
    """The document as it stands there, and as it stood at each commit that counts."""
    yield json.loads(path_of(name).read_text(encoding="utf-8"))
    for commit in agreed_commits():
        text = text_at(commit, path_of(name).relative_to(REPOSITORY).as_posix())
        if text is not None:
            yield json.loads(text)


def _valid(document: Json, schema: Json, value: Any) -> bool:
    return by_draft_2020({**schema, "components": document["components"]}).is_valid(value)


@pytest.mark.parametrize("name", service_names())
def test_the_file_says_what_the_service_says(name: str) -> None:
    assert path_of(name).read_text(encoding="utf-8") == document_text(name), STALE


@pytest.mark.parametrize("name", service_names())
def test_a_service_only_adds_to_what_was_agreed(name: str) -> None:
    for agreed in _agreed(name):
        assert breaking_changes_of_api(agreed, api(name)) == []


@pytest.mark.parametrize("name", service_names())
def test_the_document_is_valid_openapi(name: str) -> None:
    document = api(name)
    assert document["openapi"].startswith("3.1.")
    assert openapi_errors(document) == []


@pytest.mark.parametrize("name", service_names())
def test_every_operation_tells_its_problems_and_no_status_by_default(name: str) -> None:
    for operation_name, operation in _operations(api(name)):
        responses = operation["responses"]
        assert {"400", "406", "431", "500", "503"} <= responses.keys(), operation_name
        assert "default" not in responses, operation_name
        assert any(status.startswith("2") for status in responses), operation_name
        if operation.get("security"):
            assert {"401", "403", "429"} <= responses.keys(), operation_name
        if "{" in operation_name:
            assert "404" in responses, operation_name
        if "requestBody" in operation:
            assert {"408", "413", "415"} <= responses.keys(), operation_name


@pytest.mark.parametrize("name", service_names())
def test_every_problem_is_a_problem_document_with_examples_of_its_status(name: str) -> None:
    document = api(name)
    problem = document["components"]["schemas"]["Problem"]
    for operation_name, operation in _operations(document):
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                continue
            shared = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            content = shared["content"]["application/problem+json"]
            assert content["examples"], (operation_name, status)
            for example in content["examples"].values():
                assert _valid(document, problem, example["value"]), (operation_name, status)
                assert str(example["value"]["status"]) == status


@pytest.mark.parametrize("name", service_names())
def test_every_body_and_parameter_has_an_example_that_fits(name: str) -> None:
    document = api(name)
    wrong = []
    for operation_name, operation in _operations(document):
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        for part in (operation.get("requestBody", {}), *answers):
            for media, content in part.get("content", {}).items():
                if "example" not in content or not _valid(document, content["schema"], content["example"]):
                    wrong.append(f"{operation_name} {media}")
        wrong += [
            f"{operation_name} {parameter['name']}"
            for parameter in operation.get("parameters", ())
            if not _valid(document, parameter["schema"], parameter.get("example"))
        ]
    assert wrong == []


@pytest.mark.parametrize("name", service_names())
def test_every_field_and_parameter_is_described_and_has_an_example(name: str) -> None:
    document = api(name)
    fields = [
        (f"{schema_name}.{field}", schema)
        for schema_name, whole in document["components"]["schemas"].items()
        for field, schema in whole.get("properties", {}).items()
        if "$ref" not in schema
    ]
    assert [field for field, schema in fields if not schema.get("description") or not schema.get("examples")] == []
    parameters = [
        (f"{operation_name} {parameter['name']}", parameter)
        for operation_name, operation in _operations(document)
        for parameter in operation.get("parameters", ())
        if parameter["in"] != "path"
    ]
    assert [where for where, parameter in parameters if not parameter.get("description")] == []


@pytest.mark.parametrize("name", service_names())
def test_the_scheme_names_every_scope_that_an_operation_asks_for(name: str) -> None:
    document = api(name)
    (flow,) = document["components"]["securitySchemes"]["client_credentials"]["flows"].values()
    asked = {
        scope
        for _, operation in _operations(document)
        for requirement in operation.get("security", ())
        for scope in requirement.get("client_credentials", ())
    }
    assert asked == set(flow["scopes"])
    assert asked


@pytest.mark.parametrize("name", service_names())
def test_the_document_names_no_address_outside(name: str) -> None:
    hosts = set(re.findall(r"https?://([^/\"'\s\\]+)", json.dumps(api(name))))
    assert {host for host in hosts if re.fullmatch(r"[a-z.]+", host)} <= {"example.com"}


def _an_api() -> Json:
    text = {"type": "string"}
    thing = {"type": "object", "required": ["id"], "properties": {"id": text, "name": text}}
    wanted = {"type": "object", "required": ["name"], "properties": {"name": {**text, "maxLength": 10}}}
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Wanted"}}}
    operation = {
        "parameters": [{"in": "query", "name": "limit", "required": False, "schema": {"type": "integer"}}],
        "requestBody": {"required": True, "content": body},
        "security": [{"client_credentials": ["things:admin"]}],
        "responses": {
            "201": {
                "headers": {"Location": {"schema": text}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
            },
            "409": {"content": {"application/problem+json": {"schema": {"type": "object"}}}},
        },
    }  # fmt: skip
    return {"paths": {"/things": {"post": operation}}, "components": {"schemas": {"Thing": thing, "Wanted": wanted}}}


_POST = ("paths", "/things", "post")
_WANTED = ("components", "schemas", "Wanted")
_THING = ("components", "schemas", "Thing")
_TEXT = {"type": "string"}
_GONE = object()


def _changed(*path: str | int, to: Any) -> Json:
    document = deepcopy(_an_api())
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    if to is _GONE:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return document


@pytest.mark.parametrize(
    "document",
    [
        _changed("paths", "/others", to={"get": {"responses": {}}}),
        _changed(*_POST, "responses", "422", to={}),
        _changed(*_POST, "responses", "409", to=_GONE),
        _changed(*_POST, "parameters", 0, "schema", "description", to="how many"),
        _changed(*_POST, "parameters", to=[*_an_api()["paths"]["/things"]["post"]["parameters"],
                                           {"in": "query", "name": "x", "schema": _TEXT}]),
        _changed(*_POST, "security", to=[]),
        _changed(*_POST, "security", to=[{"client_credentials": ["things:admin"]}, {"other": []}]),
        _changed(*_WANTED, "properties", "name", "maxLength", to=20),
        _changed(*_WANTED, "properties", "more", to=_TEXT),
        _changed(*_WANTED, "required", to=[]),
        _changed(*_THING, "properties", "more", to=_TEXT),
    ],
)  # fmt: skip
def test_an_addition_passes(document: Json) -> None:
    assert breaking_changes_of_api(_an_api(), document) == []


@pytest.mark.parametrize(
    "document",
    [
        _changed("paths", "/things", to=_GONE),
        _changed("paths", "/things", "post", to=_GONE),
        _changed(*_POST, "parameters", to=[]),
        _changed(*_POST, "parameters", 0, "required", to=True),
        _changed(*_POST, "parameters", 0, "schema", "type", to="string"),
        _changed(*_POST, "parameters", 0, "schema", "maximum", to=10),
        _changed(*_POST, "parameters", to=[*_an_api()["paths"]["/things"]["post"]["parameters"],
                                           {"in": "header", "name": "X", "required": True, "schema": _TEXT}]),
        _changed(*_POST, "requestBody", to=_GONE),
        _changed(*_POST, "requestBody", "content", "application/json", to=_GONE),
        _changed(*_POST, "responses", "201", to=_GONE),
        _changed(*_POST, "responses", "202", to={}),
        _changed(*_POST, "responses", "201", "headers", "Location", to=_GONE),
        _changed(*_POST, "responses", "201", "content", "application/json", to=_GONE),
        _changed(*_POST, "security", to=[{"client_credentials": ["things:admin", "more"]}]),
        _changed(*_WANTED, to={"type": "object", "required": ["name", "more"],
                               "properties": {"name": {**_TEXT, "maxLength": 10}, "more": _TEXT}}),
        _changed(*_WANTED, "properties", "name", to=_GONE),
        _changed(*_WANTED, "properties", "name", "maxLength", to=5),
        _changed(*_THING, "properties", "name", to=_GONE),
        _changed(*_THING, "properties", "id", to={"type": "integer"}),
        _changed(*_THING, "required", to=[]),
    ],
)  # fmt: skip
def test_anything_else_is_named(document: Json) -> None:
    assert breaking_changes_of_api(_an_api(), document) != []


@pytest.mark.parametrize("name", service_names())
def test_no_free_text_in_an_address_is_said_to_hold_nul(name: str) -> None:
    bound = {"format", "enum", "const"}
    for operation_name, operation in _operations(api(name)):
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            is_free = schema.get("type") == "string" and not schema.keys() & bound
            if parameter["in"] in {"path", "query"} and is_free:
                assert not re.search(schema["pattern"], "a\0b"), (operation_name, parameter["name"])
