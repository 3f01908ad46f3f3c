"""The document at /openapi.json and a page to read and try it at /docs; everything they need is served from here."""

from functools import cache
from html import escape
from importlib import resources
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

#: The package that carries Swagger UI's files.
_PACKAGE: Final = "fastapi_swagger"

#: Nothing from elsewhere, nothing inline, no frames, no forms: the page shows what callers may have written.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="operations"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

#: The validator's badge would ask a server elsewhere.
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  validatorUrl: null,
  displayRequestDuration: true,
});
"""
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "png": "image/png"}
_FILES: Final = ("favicon-32x32.png", "swagger-ui-bundle.js", "swagger-ui.css")


def document_routes() -> APIRouter:
    """Give the routes of the document and its page; they stand in no document themselves."""
    router = APIRouter(include_in_schema=False)

    @router.get("/openapi.json")
    async def document(request: Request) -> Response:
        return JSONResponse(request.app.openapi())

    @router.get("/docs")
    async def page(request: Request) -> Response:
        html = _PAGE.format(title=escape(request.app.title))
        return Response(html, headers=_HEADERS, media_type="text/html")

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, headers=_HEADERS, media_type="text/javascript")

    @router.get("/docs/{name}")
    async def asset(name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404)
        media_type = _TYPES[name.rpartition(".")[2]]
        return Response(_content_of(name), headers=_HEADERS, media_type=media_type)

    return router


@cache
def _content_of(name: str) -> bytes:
    return (resources.files(_PACKAGE) / "resources" / name).read_bytes()
