"""The OpenAPI document, with our problem documents in it instead of FastAPI's own errors."""

from typing import Any, Final

from fastapi import FastAPI

_PROBLEM: Final = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/invalid_request"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "the path of the request"},
        "request_id": {"type": "string", "description": "as in the header X-Request-Id"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["location", "message"],
                "properties": {"location": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_PROBLEM_RESPONSE: Final = {
    "description": "A problem document: what is wrong, and where.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")


class DocumentedApp(FastAPI):
    """A FastAPI whose document names the problems that it answers with."""

    def openapi(self) -> dict[str, Any]:
        """Give the document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operations in document.get("paths", {}).values():
                for operation in operations.values():
                    _name_problems(operation["responses"])
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in _FASTAPIS_OWN:
                schemas.pop(name, None)
            schemas["Problem"] = _PROBLEM
        return self.openapi_schema or {}


def _name_problems(responses: dict[str, Any]) -> None:
    # FastAPI claims 422 for what is 400 here; a route's own 422 stays.
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    responses.setdefault("default", _PROBLEM_RESPONSE)
