"""GET /health/live and /health/ready, for load balancers, orchestrators and people."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from shared.kit.liveness import Liveness, Readiness
from shared.kit.refusals import FieldError, InvalidRequest, Unavailable

from .problems import problem_for

_ALL = "all"
_API = "api"
_ROLE = Query(
    max_length=50,
    description="the role to ask for, one that this process has; `all` asks for every one of them",
    json_schema_extra={"enum": [_ALL, _API, "consumers", "workers"]},
)


class Live(BaseModel):
    """All is well."""

    status: str = Field(description="always ok: what is not well is a problem document", examples=["ok"])


class Ready(Live):
    """All is well, or what was asked for is."""

    roles: dict[str, list[str]] = Field(
        description="every role of this process with what is wrong in it", examples=[{"api": [], "consumers": []}]
    )


def health_routes(liveness: Liveness, readiness: Readiness) -> APIRouter:
    """Give the two routes: 200 while all is well, else 503 with a problem document that lists what is wrong."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", response_model=Live, summary="Do all loops of this process turn?")
    async def live(request: Request) -> Response:
        return _answer(request, liveness.problems(), {})

    @router.get("/ready", response_model=Ready, summary="May this process be given work?")
    async def ready(request: Request, role: Annotated[str | None, _ROLE] = None) -> Response:
        """Ask for one role, for `all`, or for what a load balancer wants to know.

        Without `role` a process that serves the API is ready when its API is: a stopped broker must not take the
        APIs away (P9), also where one process has every role.
        """
        by_role = await readiness.by_role()
        wanted = _wanted(role, list(by_role))
        return _answer(request, await readiness.problems(wanted), {"roles": by_role})

    return router


def _wanted(role: str | None, roles: Sequence[str]) -> Sequence[str]:
    if role is None:
        return [_API] if _API in roles else roles
    if role == _ALL:
        return roles
    if role not in roles:
        error = FieldError("query.role", f"must be one of {', '.join([_ALL, *roles])}")
        raise InvalidRequest(errors=[error])
    return [role]


def _answer(request: Request, problems: Sequence[str], more: dict[str, object]) -> Response:
    if not problems:
        return JSONResponse({"status": "ok", **more})
    errors = [FieldError("health", wrong) for wrong in problems]
    return problem_for(request.scope, Unavailable("; ".join(problems), errors=errors, retry_after=1.0))
