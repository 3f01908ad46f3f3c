"""The application of a service's HTTP side, put together from its routers."""

from collections.abc import Collection, Sequence
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from shared.kit.auth import TokenVerifier
from shared.kit.liveness import Liveness, Readiness
from shared.kit.refusals import Refused

from .frame import RequestFrame
from .headers import accepts_json
from .health import health_routes
from .intake import RequestIntake
from .openapi import DocumentedApp
from .problems import answer_with_problem

BODY_LIMIT: Final = 1024 * 1024


def create_app(
    *,
    title: str,
    version: str,
    routers: Sequence[APIRouter],
    liveness: Liveness,
    readiness: Readiness,
    verifier: TokenVerifier | None = None,
    form_paths: Collection[str] = ("/auth/token",),
    body_limit: int = BODY_LIMIT,
    body_seconds: float = 30.0,
) -> FastAPI:
    """Make the application: `routers` and the health routes under the common rules.

    `verifier` is needed as soon as a route asks for a scope (`auth.requires`). Bodies are JSON, except for forms at
    `form_paths`; they may have `body_limit` bytes and take `body_seconds` to arrive.
    """
    app = DocumentedApp(
        title=title,
        version=version,
        # The documentation pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        # A redirect to the same path with a slash would lose the body's method in some clients: 404 says more.
        redirect_slashes=False,
        dependencies=[Depends(accepts_json)],
        middleware=[
            Middleware(RequestFrame),
            Middleware(RequestIntake, body_limit=body_limit, body_seconds=body_seconds, form_paths=form_paths),
        ],
        exception_handlers=dict.fromkeys((Refused, RequestValidationError, HTTPException), answer_with_problem),
    )
    app.state.verifier = verifier
    for router in (*routers, health_routes(liveness, readiness)):
        app.include_router(router)
    return app
