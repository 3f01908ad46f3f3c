"""Links in an OpenAPI document: from the answer that made a resource to the operations on it."""

from typing import Any

Json = dict[str, Any]


def add_links(document: Json) -> None:
    """Let every `POST /things` that answers 201 name the operations at `/things/{id}` and below it."""
    paths = document.get("paths", {})
    schemas = document["components"]["schemas"]
    for path, methods in paths.items():
        made = methods.get("post", {}).get("responses", {}).get("201")
        if made is None:
            continue
        fields = _fields_of(made, schemas)
        links = {
            operation["operationId"]: _link(operation, path, parameter, fields)
            for other, operations in paths.items()
            if (parameter := _parameter_behind(path, other)) is not None
            for operation in operations.values()
        }
        if links:
            made["links"] = links


def _parameter_behind(path: str, other: str) -> str | None:
    """The parameter that `other` has right behind `path`, if it has no further one."""
    rest = other.removeprefix(f"{path}/")
    first, _, more = rest.partition("/")
    is_below = rest != other and first.startswith("{") and "{" not in more
    return first.strip("{}") if is_below else None


def _fields_of(response: Json, schemas: Json) -> Json:
    content: Json = response.get("content", {}).get("application/json", {})
    reference: str = content.get("schema", {}).get("$ref", "")
    fields: Json = schemas.get(reference.rpartition("/")[2], {}).get("properties", {})
    return fields


def _link(operation: Json, path: str, parameter: str, fields: Json) -> Json:
    field = parameter if parameter in fields else "id"
    given = {parameter: f"$response.body#/{field}"}
    # What stands in the path of both is the same on both sides.
    given |= {part.strip("{}"): f"$request.path.{part.strip('{}')}" for part in path.split("/") if part.startswith("{")}
    return {"operationId": operation["operationId"], "parameters": given}
