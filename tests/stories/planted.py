"""A service with one fault of each kind, to see that the requests find them; uvicorn runs it as a process."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint

PROBLEM = {"type": "/problems/not_found", "title": "Not found", "status": 404, "detail": "Nothing.", "instance": "/"}

app = FastAPI(title="planted", version="1")
_there: set[UUID] = set()


@app.middleware("http")
async def with_a_request_id(request: Request, answer: RequestResponseEndpoint) -> Response:
    """Mark all answers but one."""
    response = await answer(request)
    if request.url.path != "/without-a-request-id":
        response.headers["X-Request-Id"] = request.headers.get("X-Request-Id", "a request")
    return response


def _problem(status: int, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    document = {**PROBLEM, "status": status, "request_id": "a request", **more}
    return Response(json.dumps(document), status, headers, "application/problem+json")


@app.exception_handler(HTTPException)
async def with_a_problem(_: Request, fault: Exception) -> Response:
    """What the framework refuses, sound as well."""
    known = fault if isinstance(fault, HTTPException) else HTTPException(500)
    return _problem(known.status_code, headers=known.headers)


@app.get("/sound")
async def sound() -> dict[str, str]:
    return {"it": "works"}


@app.get("/fails")
async def fails(number: int = 0) -> Response:
    return _problem(500) if number > 100 else Response("{}", media_type="application/json")


@app.get("/undocumented")
async def undocumented() -> Response:
    return _problem(418)


@app.get("/another-shape")
async def another_shape() -> dict[str, int]:
    return Response('{"it": "is no number"}', media_type="application/json")  # type: ignore[return-value]


@app.get("/takes-anything", openapi_extra={"parameters": [{"name": "n", "in": "query", "schema": {"type": "integer"}}]})
async def takes_anything() -> dict[str, str]:
    return {}


@app.get("/refuses-everything", responses={400: {"content": {"application/problem+json": {}}}})
async def refuses_everything(name: str = "") -> Response:
    return _problem(400, detail=f"{len(name)} characters are wrong.")


@app.get("/without-a-request-id")
async def without_a_request_id() -> dict[str, str]:
    return {}


@app.get("/tells-what-is-inside")
async def tells_what_is_inside(response: Response) -> dict[str, str]:
    response.headers["X-Made-By"] = "asyncpg"
    return {}


@app.get("/names-a-table")
async def names_a_table() -> dict[str, str]:
    return {"what": 'duplicate key in "made_up_table"'}


@app.get("/no-problem-document", responses={404: {"content": {"application/json": {}}}})
async def no_problem_document() -> Response:
    return Response('{"request_id": "a request"}', 404, media_type="application/json")
